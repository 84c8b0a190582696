"""Batches of patches from shards that grow while they are read."""

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
    """Rows of one shard."""
    columns = (shard.mel[rows], shard.logits[rows], shard.hint[rows])
    return Patches(*(column.astype(np.float32) for column in columns))


class Sampler:
    """Draws training patches from all shards in a folder, balanced by class.

    Parameters
    ----------
    folder
        Holds the shards, one folder each; new ones are found by `refresh`.
    clips
        The pool's, whose splits say what may be learned from.
    natural
        The shard by which class frequencies are known.
    """

    def __init__(self, folder: Path, clips: list[Clip], natural: ShardReader) -> None:
        self._folder = folder
        self._learned_from = splits(clips) == TRAINING
        self._frequencies = class_frequencies(natural.logits[: natural.count])
        self._shards: dict[str, ShardReader] = {}
        self._rarity: dict[str, NDArray[np.float32]] = {}
        self.refresh()

    def refresh(self) -> int:
        """See what was added to the shards; how many patches there are now to learn from."""
        rows, weights = [], []
        for number, place in enumerate(sorted(self._folder.iterdir())):
            shard = self._shards.setdefault(place.name, ShardReader(place))
            known = self._rarity.get(place.name, np.empty(0, np.float32))
            count = shard.refresh()
            new = rarity(shard.logits[len(known) : count], self._frequencies)
            self._rarity[place.name] = np.concatenate([known, new])
            usable = np.flatnonzero(self._learned_from[shard.clip[:count]])
            rows.append(np.column_stack([np.full(len(usable), number), usable]))
            weights.append(self._rarity[place.name][usable])
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
