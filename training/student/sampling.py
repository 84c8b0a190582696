"""Draw batches of patches from shards that grow during training."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLASSES
from training.data.balance import Draw, class_frequencies, rarity, shares
from training.data.clips import Clip
from training.data.splits import TRAINING, splits
from training.teacher.shards import ShardReader

CLASS_SHARE: Final = 0.6  # of a batch; the rest is drawn evenly
PAIRED_SHARE: Final = 0.5  # of the patches of a batch, if there is a clip teacher


class Patches(NamedTuple):
    """Patches, and the teachers' labels, all float32.

    Attributes
    ----------
    mel, logits, hint
        Log-mels ``(n, 96, 64)``, logits ``(n, 521)`` and hints ``(n, 1024)``.
    pair_logits
        ``(pairs, 527)``, the clip teacher's logits of the patches ``i`` and ``pairs + i``, which are
        consecutive; empty if there is no clip teacher.
    """

    mel: NDArray[np.float32]
    logits: NDArray[np.float32]
    hint: NDArray[np.float32]
    pair_logits: NDArray[np.float32]


NEXT_ROW: Final = np.array([0, 1])  # added to the number of a shard and the row in it
NO_PAIRS: Final = np.empty((0, CLASSES), np.float32)


def read(shard: ShardReader, rows: NDArray[np.intp]) -> Patches:
    """Read rows of a shard, without pairs."""
    mel, logits, hint = (column[rows].astype(np.float32) for column in (shard.mel, shard.logits, shard.hint))
    return Patches(mel, logits, hint, NO_PAIRS)


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
        self._paired: dict[str, NDArray[np.bool_]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Make newly labelled patches available; return the number of training patches."""
        rows, weights, paired = [], [], []
        for number, path in enumerate(sorted(self._folder.iterdir())):
            shard = self._shards.setdefault(path.name, ShardReader(path))
            known = self._rarity.get(path.name, np.empty(0, np.float32))
            count = shard.refresh()
            new = rarity(shard.logits[len(known) : count], self._frequencies)
            self._rarity[path.name] = np.concatenate([known, new])
            usable = np.flatnonzero(self._is_training[shard.clip[:count]])
            rows.append(np.column_stack([np.full(len(usable), number), usable]))
            weights.append(self._rarity[path.name][usable])
            paired.append(self._begins_pair(path.name, len(known), count)[usable])
        self._rows = np.concatenate(rows)
        by_class = shares(np.concatenate(weights))
        all_weights = CLASS_SHARE * by_class + (1 - CLASS_SHARE) / max(1, len(by_class))
        self._draw = Draw(all_weights)
        pair_weights = all_weights * np.concatenate(paired)
        self._draw_pairs = Draw(pair_weights) if pair_weights.any() else None
        return len(self._rows)

    def batch(self, rng: np.random.Generator, patches: int) -> Patches:
        """Draw patches, with replacement; with a clip teacher, half of them in pairs."""
        pairs = int(patches * PAIRED_SHARE / 2) if self._draw_pairs else 0
        parts = [self._read(self._rows[self._draw(rng, patches - 2 * pairs)])]
        pair_logits = NO_PAIRS
        if self._draw_pairs and pairs:
            first = self._rows[self._draw_pairs(rng, pairs)]
            parts = [self._read(first), self._read(first + NEXT_ROW), *parts]
            pair_logits = self._read_columns(first, ["pair_logits"])[0]
        mel, logits, hint = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Patches(mel, logits, hint, pair_logits)

    def _begins_pair(self, name: str, known: int, count: int) -> NDArray[np.bool_]:
        """Return whether each row of a shard begins a pair, ``(count,)``."""
        shard = self._shards[name]
        if shard.pair_logits is None:
            return np.zeros(count, bool)
        new = ~np.isnan(shard.pair_logits[known:count, 0])
        self._paired[name] = np.concatenate([self._paired.get(name, np.empty(0, bool)), new])
        return self._paired[name]

    def _read(self, rows: NDArray[np.intp]) -> list[NDArray[np.float32]]:
        return self._read_columns(rows, ["mel", "logits", "hint"])

    def _read_columns(self, rows: NDArray[np.intp], columns: list[str]) -> list[NDArray[np.float32]]:
        """Read rows, ``(n, 2)`` with the number of the shard and the row in it, in their order."""
        shards = [self._shards[name] for name in sorted(self._shards)]
        return [
            np.stack([getattr(shards[number], column)[row] for number, row in rows]).astype(np.float32)
            for column in columns
        ]
