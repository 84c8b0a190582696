"""Draw batches of patches from shards that grow during training."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.balance import Draw, class_frequencies, rarity, shares
from training.data.clips import Clip
from training.data.splits import TRAINING, splits
from training.teacher.shards import ShardReader

CLASS_SHARE: Final = 0.6  # of a batch; the rest is drawn evenly


class Patches(NamedTuple):
    """Log-mels ``(n, 96, 64)``, logits ``(n, 521)`` and hints ``(n, 1024)``, all float32."""

    mel: NDArray[np.float32]
    logits: NDArray[np.float32]
    hint: NDArray[np.float32]


def read(shard: ShardReader, rows: NDArray[np.intp]) -> Patches:
    """Read rows of a shard."""
    columns = (shard.mel[rows], shard.logits[rows], shard.hint[rows])
    return Patches(*(column.astype(np.float32) for column in columns))


class Sampler:
    """Draw training patches from all shards in a folder, balanced by class.

    Parameters
    ----------
    folder
        Contains the shards, one folder each; `refresh` finds new ones.
    clips
        The clips of the pool, whose splits determine the training patches.
    natural
        The shard from which class frequencies are computed.
    """

    def __init__(self, folder: Path, clips: list[Clip], natural: ShardReader) -> None:
        self._folder = folder
        self._is_training = splits(clips) == TRAINING
        self._frequencies = class_frequencies(natural.logits[: natural.count])
        self._shards: dict[str, ShardReader] = {}
        self._rarity: dict[str, NDArray[np.float32]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Make newly labelled patches available; return the number of training patches."""
        rows, weights = [], []
        for number, path in enumerate(sorted(self._folder.iterdir())):
            shard = self._shards.setdefault(path.name, ShardReader(path))
            known = self._rarity.get(path.name, np.empty(0, np.float32))
            count = shard.refresh()
            new = rarity(shard.logits[len(known) : count], self._frequencies)
            self._rarity[path.name] = np.concatenate([known, new])
            usable = np.flatnonzero(self._is_training[shard.clip[:count]])
            rows.append(np.column_stack([np.full(len(usable), number), usable]))
            weights.append(self._rarity[path.name][usable])
        self._rows = np.concatenate(rows)
        by_class = shares(np.concatenate(weights))
        self._draw = Draw(CLASS_SHARE * by_class + (1 - CLASS_SHARE) / max(1, len(by_class)))
        return len(self._rows)

    def batch(self, rng: np.random.Generator, patches: int) -> Patches:
        """Draw patches, with replacement."""
        drawn = self._rows[self._draw(rng, patches)]
        shards = [self._shards[name] for name in sorted(self._shards)]
        parts = [
            read(shards[number], np.sort(drawn[drawn[:, 0] == number, 1]))
            for number in np.unique(drawn[:, 0])
        ]
        return Patches(*map(np.concatenate, zip(*parts, strict=True)))
