"""Measure whether altered audio as further examples helps: ``python -m benchmarks.altered_audio ESC-10``.

See `benchmarks.own_classes` for the copy of ESC-10.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import step_log_mel
from audio_classifier.audio.reader import read_window
from audio_classifier.evaluation.report import table
from audio_classifier.hub.bundles import COMPACT, open_bundle
from audio_classifier.model.linear_head import pooled
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.model.postprocess import dequantize
from audio_classifier.own_classes.fitting import fit_head
from benchmarks.own_classes import DRAWS, paths

SHOTS: Final = 5
WINDOW: Final = 3  # steps of a short window
Samples: TypeAlias = NDArray[np.float32]


def quieter(samples: Samples, rng: np.random.Generator) -> Samples:
    """Lower the volume by up to 20 dB."""
    return np.asarray(samples * 10 ** (rng.uniform(-20, 0) / 20), np.float32)


def noisier(samples: Samples, rng: np.random.Generator) -> Samples:
    """Add white noise at a signal-to-noise ratio of 10 to 30 dB."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-6
    noise = rng.standard_normal(len(samples)) * rms * 10 ** (-rng.uniform(10, 30) / 20)
    return np.asarray(samples + noise, np.float32)


def shifted(samples: Samples, rng: np.random.Generator) -> Samples:
    """Move a random part of the beginning to the end."""
    return np.roll(samples, -int(rng.integers(len(samples))))


ALTERATIONS: Final[dict[str, Callable[[Samples, np.random.Generator], Samples]]] = {
    "another volume": quieter,
    "added noise": noisier,
    "shifted starts": shifted,
}
ALL: Final = "all three"
WINDOWS: Final = "windows of three seconds"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.altered_audio", description=__doc__)
    parser.add_argument("sounds", type=Path, help="the copy of ESC-10")
    parser.add_argument("--base", default=COMPACT, help="the bundle to learn on (compact)")
    arguments = parser.parse_args()
    print(report(arguments.sounds, arguments.base))


def report(sounds: Path, base: str) -> str:
    """Measure all alterations, and return the table in Markdown."""
    network = PatchNetwork(open_bundle(base), os.cpu_count() or 1)
    recordings = [_read(path) for path in paths(sounds)]
    codes = [_codes(network, samples) for samples in recordings]
    plain = np.stack([pooled(one) for one in codes])
    further: dict[str, list[list[Samples]]] = {"nothing": [[] for _ in codes]}
    for name, alter in ALTERATIONS.items():
        rng = np.random.default_rng(0)
        further[name] = [[pooled(_codes(network, alter(samples, rng)))] for samples in recordings]
    each = zip(*(further[name] for name in ALTERATIONS), strict=True)
    further[ALL] = [[*chain.from_iterable(found)] for found in each]
    further[WINDOWS] = [_windows(one) for one in codes]
    noisy = np.concatenate(further["added noise"])
    labels = np.array([path.parent.name for path in paths(sounds)])
    folds = np.array([path.name[0] for path in paths(sounds)])
    rows = []
    for name, more in further.items():
        values = (
            _by_folds(plain, plain, more, labels, folds),
            _few_shot(plain, more, labels),
            _by_folds(plain, noisy, more, labels, folds),
        )
        rows.append((name, *(f"{value:.3f}" for value in values)))
    return table(("further examples", "five folds", f"{SHOTS} examples per class", "clips in noise"), rows)


def _read(path: Path) -> Samples:
    return np.asarray(read_window(str(path)), np.float32)


def _codes(network: PatchNetwork, samples: Samples) -> NDArray[np.float32]:
    return dequantize(network.encode(step_log_mel(samples)))


def _windows(codes: NDArray[np.float32]) -> list[Samples]:
    return [pooled(codes[start : start + WINDOW]) for start in range(max(1, len(codes) - WINDOW + 1))]


def _by_folds(
    plain: Samples,
    tested: Samples,
    more: Sequence[Sequence[Samples]],
    labels: NDArray[np.str_],
    folds: NDArray[np.str_],
) -> float:
    """Return the accuracy on ``tested`` after learning from the other folds of ``plain`` and ``more``."""
    right = [
        _hits(plain, tested, more, labels, np.flatnonzero(folds != fold))[folds == fold]
        for fold in np.unique(folds)
    ]
    return float(np.concatenate(right).mean())


def _few_shot(plain: Samples, more: Sequence[Sequence[Samples]], labels: NDArray[np.str_]) -> float:
    accuracies = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        own = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        chosen = np.concatenate([rng.choice(numbers, SHOTS, replace=False) for numbers in own])
        others = np.setdiff1d(np.arange(len(labels)), chosen)
        accuracies.append(_hits(plain, plain, more, labels, chosen)[others].mean())
    return float(np.mean(accuracies))


def _hits(
    plain: Samples,
    tested: Samples,
    more: Sequence[Sequence[Samples]],
    labels: NDArray[np.str_],
    chosen: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Learn from the chosen recordings; return whether the prediction for each tested one is right."""
    names = np.unique(labels)
    rows = [row for number in chosen for row in (plain[number], *more[number])]
    owners = np.repeat(chosen, [1 + len(more[number]) for number in chosen])
    head = fit_head(np.stack(rows), labels[owners, np.newaxis] == names)
    return np.asarray(names[head.from_features(tested).argmax(axis=1)] == labels)


if __name__ == "__main__":
    main()
