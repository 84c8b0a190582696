"""Measuring: each recording is decoded once for all models with the same input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from audio_classifier import AudioClassifier
from audio_classifier.evaluation.evaluate import evaluate
from audio_classifier.evaluation.measure import EventOptions
from audio_classifier.evaluation.recordings import LabelledEvent, LabelledRecording, LabelledRecordings
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


def test_both_kinds_of_networks_are_measured_with_and_without_times(
    classifier: AudioClassifier, clip_bundle: Path, assets: Path
) -> None:
    classifiers = [classifier, AudioClassifier.open(clip_bundle)]
    path, label = str(assets / "siren.wav"), "Siren"
    for events in ((), (LabelledEvent(label, 0.0, 8.0),)):
        recordings = [LabelledRecording(path, frozenset({label}), events)]
        found = evaluate(
            classifiers,
            LabelledRecordings(recordings, has_times=bool(events)),
            source="assets",
            mapping={},
            events=EventOptions(),
            resamples=2,
        )
        first, second = (model.to_dict() for model in found.models)
        assert first["bundle"] != second["bundle"]
        assert ("event_f1" in second["measures"]) == bool(events)
        assert second["reliability"][0]["count"] == 1


def test_folder_or_pipe_in_place_of_a_recording_is_a_failure(
    classifier: AudioClassifier, tmp_path: Path, assets: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    paths = [tmp_path, tmp_path / "pipe.wav", assets / "rain.wav"]
    recordings = [LabelledRecording(str(path), frozenset({"Rain"})) for path in paths]
    found = evaluate(
        [classifier],
        LabelledRecordings(recordings, has_times=False),
        source="assets",
        mapping={},
        events=EventOptions(),
        resamples=0,
    )
    assert found.recordings == 1
    assert [path for path, _ in found.failures] == [str(tmp_path), str(tmp_path / "pipe.wav")]
