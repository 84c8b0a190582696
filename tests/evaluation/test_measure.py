"""Measuring: each recording is decoded once for all models with the same input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audio_classifier import AudioClassifier
from audio_classifier.evaluation.evaluate import evaluate
from audio_classifier.evaluation.measure import EventOptions
from audio_classifier.evaluation.recordings import LabelledRecording, LabelledRecordings
from audio_classifier.inference.clip import PreparedClip
from audio_classifier.inference.decoding import LocalDecoder


class CountingDecoder(LocalDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.clips = 0

    def clip(self, *args: Any, **options: Any) -> PreparedClip:
        self.clips += 1
        return super().clip(*args, **options)


def test_recordings_are_decoded_once_for_models_with_equal_input(
    classifier: AudioClassifier, assets: Path
) -> None:
    decoder = CountingDecoder()
    classifiers = [AudioClassifier(classifier.bundle, threads=1, decoder=decoder) for _ in range(2)]
    recordings = [
        LabelledRecording(str(assets / f"{name}.wav"), frozenset({label}))
        for name, label in (("rain", "Rain"), ("siren", "Siren"))
    ]
    found = evaluate(
        classifiers,
        LabelledRecordings(recordings, has_times=False),
        source="assets",
        mapping={},
        events=EventOptions(),
        resamples=0,
    )
    assert decoder.clips == found.recordings == 2
    first, second = (model.to_dict() for model in found.models)
    assert first == second
