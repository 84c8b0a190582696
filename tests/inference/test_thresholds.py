"""Thresholds of single classes: the file, the bundle they belong to, predictions and sound events."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from audio_classifier.errors import InvalidParameterError, UnknownLabelError
from audio_classifier.inference.record import model_record
from audio_classifier.inference.thresholds import MAX_BYTES, Thresholds


def classifier_with(classifier: AudioClassifier, **minimums: float) -> AudioClassifier:
    return AudioClassifier(classifier.bundle, threads=1, thresholds=Thresholds(minimums))


def test_class_counts_only_from_its_own_threshold_on(classifier: AudioClassifier, assets: Path) -> None:
    first, second = classifier.predict(assets / "rain.wav", top_k=2)
    strict = classifier_with(classifier, **{first.label: min(1.0, first.probability + 1e-4)})
    assert first not in strict.predict(assets / "rain.wav")
    assert strict.predict(assets / "rain.wav")[0] == second
    exact = classifier_with(classifier, **{first.label_id: first.probability})
    assert exact.predict(assets / "rain.wav")[0] == first


def test_higher_of_both_thresholds_applies(classifier: AudioClassifier, assets: Path) -> None:
    (first,) = classifier.predict(assets / "rain.wav", top_k=1)
    lenient = classifier_with(classifier, **{first.label: 0.0})
    assert lenient.predict(assets / "rain.wav", threshold=min(1.0, first.probability + 1e-4)) == []


def test_sound_events_begin_at_own_threshold(classifier: AudioClassifier, assets: Path) -> None:
    event, *_ = sorted(classifier.events(assets / "town.wav"), key=lambda event: -event.peak)
    strict = classifier_with(classifier, **{event.label: min(1.0, event.peak + 1e-4)})
    assert event.label not in {other.label for other in strict.events(assets / "town.wav")}
    others = {other.label for other in classifier.events(assets / "town.wav")} - {event.label}
    assert others == {other.label for other in strict.events(assets / "town.wav")}


def test_stored_results_identify_the_thresholds(classifier: AudioClassifier) -> None:
    records = [
        model_record(classifier.bundle, thresholds)
        for thresholds in (None, Thresholds({"Rain": 0.1}), Thresholds({"Rain": 0.2}))
    ]
    assert "thresholds" not in records[0]
    assert records[1]["thresholds"] != records[2]["thresholds"]


def test_file_is_read_and_classes_without_a_threshold_have_none(
    classifier: AudioClassifier, tmp_path: Path
) -> None:
    path = tmp_path / "thresholds.json"
    bundle = {"digest": classifier.bundle.digest}
    path.write_text(json.dumps({"bundle": bundle, "thresholds": {"rain": 0.25, "/m/0ngt1": 1}}))
    minimums = Thresholds.read(path).resolve(classifier.bundle, classifier.labels)
    expected = np.zeros(len(classifier.labels))
    expected[classifier.labels.find("Rain").index] = 0.25
    expected[classifier.labels.find("Thunder").index] = 1
    assert minimums.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b"\xff", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[]", "NAME OR ID"),
        (b'{"thresholds": [0.1]}', "NAME OR ID"),
        (b'{"thresholds": {}, "bundle": {"digest": 1}}', "NAME OR ID"),
        (b'{"thresholds": {"Rain": 1.5}}', "'Rain', got 1.5"),
        (b'{"thresholds": {"Rain": NaN}}', "got nan"),
        (b'{"thresholds": {"Rain": true}}', "got True"),
        (b'{"thresholds": {"Rain": "0.1"}}', "got '0.1'"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_malformed_file_is_refused_with_reason(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match=message):
        Thresholds.read(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="No such file"):
        Thresholds.read(tmp_path / "thresholds.json")


def test_thresholds_of_another_bundle_are_refused(classifier: AudioClassifier) -> None:
    with pytest.raises(InvalidParameterError, match="found those of the bundle with the digest abc"):
        AudioClassifier(classifier.bundle, threads=1, thresholds=Thresholds({}, "abc"))


def test_unknown_and_repeated_classes_are_refused(classifier: AudioClassifier) -> None:
    with pytest.raises(UnknownLabelError, match="Rainn"):
        classifier_with(classifier, Rainn=0.1)
    with pytest.raises(InvalidParameterError, match="'Thunder' occurs twice"):
        classifier_with(classifier, **{"thunder": 0.1, "/m/0ngt1": 0.1})
