"""Recordings for uploads, and the results that they must have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from audio_classifier import AudioClassifier
from audio_classifier.errors import AudioError
from tests.support.sounds import busy, encode

TOP_K: Final = 5
ROUNDING: Final = 1e-4  # the order of summation depends on the number of threads
FORMATS: Final = (("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None))


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, and what classifying it gives: probabilities by label ID, or the code of an error."""

    content: bytes
    expected: dict[str, float] | str

    def matches(self, result: dict[str, Any]) -> bool:
        """Return whether a result or a response is right."""
        if isinstance(self.expected, str):
            return result.get("code") == self.expected
        found = {item["label_id"]: item["probability"] for item in result.get("predictions", ())}
        return found.keys() == self.expected.keys() and all(
            math.isclose(probability, self.expected[label_id], abs_tol=ROUNDING)
            for label_id, probability in found.items()
        )


def make_recordings(assets: Path) -> list[Recording]:
    """Return the samples, synthetic sounds in several formats, and files without audio."""
    contents = [path.read_bytes() for path in sorted(assets.glob("*.wav"))]
    for seed, (container, subtype) in enumerate(FORMATS):
        contents.append(encode(busy(3 + 4 * seed, 16_000, seed=seed), 16_000, container, subtype))
    contents += [b"RIFF", b"no audio", contents[0][:30], encode(np.zeros((9, 1)), 16_000)]
    classifier = AudioClassifier.open(threads=1)
    return [Recording(content, _expected(classifier, content)) for content in contents]


def _expected(classifier: AudioClassifier, content: bytes) -> dict[str, float] | str:
    try:
        predictions = classifier.predict(content, top_k=TOP_K)
    except AudioError as error:
        return error.code
    return {prediction.label_id: prediction.probability for prediction in predictions}
