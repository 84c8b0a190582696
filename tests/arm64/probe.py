"""Compute features and probabilities on this CPU: ``probe.py OUT.npz BUNDLE... -- SOUND...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier import AudioClassifier

STRIDE: Final = 4  # a network in float32 takes minutes on an emulated CPU


def compute(bundles: Sequence[str], sounds: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Classify sounds with bundles.

    Returns
    -------
    ``log_mel B S``, the ``(frames, bands)`` features of sound S for bundle B, and ``probabilities B``,
    ``(sounds, classes)``; B and S are indices.  Bundles after the first classify one sound of `STRIDE`.
    """
    results = {}
    for index, bundle in enumerate(bundles):
        classifier = AudioClassifier.open(bundle, threads=1)
        clips = [classifier.prepare(Path(sound)) for sound in (sounds[::STRIDE] if index else sounds)]
        for number, clip in enumerate(clips):
            results[f"log_mel {index} {number}"] = clip.log_mel
        results[f"probabilities {index}"] = np.concatenate(
            [classifier.prepared_probabilities([clip]) for clip in clips]
        )
    return results


def main(out: str, *arguments: str) -> None:
    separator = arguments.index("--")
    np.savez(out, allow_pickle=False, **compute(arguments[:separator], arguments[separator + 1 :]))


if __name__ == "__main__":
    main(*sys.argv[1:])
