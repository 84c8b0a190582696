from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.errors import UnknownLabelError


def test_labels_are_selected_before_top_k(classifier: AudioClassifier, assets: Path) -> None:
    all_predictions = classifier.predict(assets / "rain.wav", top_k=None)
    assert len(all_predictions) == 527
    late = all_predictions[300]
    selected = classifier.predict(assets / "rain.wav", labels=[late.label.upper(), "/M/06MB1", late.label_id])
    assert [p.label for p in selected] == ["Rain", late.label]
    assert classifier.predict(assets / "rain.wav", labels=[late.label, "Rain"], top_k=1)[0].label == "Rain"


def test_threshold_is_an_inclusive_lower_bound(classifier: AudioClassifier, assets: Path) -> None:
    all_predictions = classifier.predict(assets / "rain.wav", top_k=None)
    threshold = all_predictions[2].probability
    assert classifier.predict(assets / "rain.wav", threshold=threshold) == all_predictions[:3]
    assert classifier.predict(assets / "rain.wav", threshold=1.0) == []


def test_single_label_may_be_a_string(classifier: AudioClassifier, assets: Path) -> None:
    assert [p.label for p in classifier.predict(assets / "rain.wav", labels="rain")] == ["Rain"]


def test_empty_list_of_labels_selects_no_class(classifier: AudioClassifier, assets: Path) -> None:
    assert classifier.predict(assets / "rain.wav", labels=[]) == []


def test_unknown_label_suggests_the_nearest_one(classifier: AudioClassifier, assets: Path) -> None:
    with pytest.raises(UnknownLabelError) as caught:
        classifier.predict(assets / "rain.wav", labels=["Thunderstrom"])
    assert "'Thunderstorm'" in caught.value.hint
