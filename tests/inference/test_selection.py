from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier import AudioClassifier, Selection
from audio_classifier.errors import UnknownLabelError
from audio_classifier.model.labels import Label, LabelSet


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


def test_excluded_classes_are_omitted_before_top_k(classifier: AudioClassifier, assets: Path) -> None:
    all_predictions = classifier.predict(assets / "rain.wav", top_k=None)
    first, second, third, *others = all_predictions
    exclude = [first.label.upper(), third.label_id, first.label_id]
    assert classifier.predict(assets / "rain.wav", top_k=None, exclude=exclude) == [second, *others]
    assert classifier.predict(assets / "rain.wav", top_k=1, exclude=exclude) == [second]
    assert classifier.predict(assets / "rain.wav", top_k=1, exclude=first.label) == [second]
    assert classifier.predict(assets / "rain.wav", exclude=[]) == all_predictions[:5]


def test_class_that_is_selected_and_excluded_is_omitted(classifier: AudioClassifier) -> None:
    selection = classifier.selection(labels=["Rain", "Dog", "Cat"], exclude=["dog", "Siren"])
    assert [label.name for label in selection.classes] == ["Cat", "Rain"]
    assert [label.name for label in selection.excluded] == ["Dog", "Siren"]
    assert classifier.selection(labels=["Rain"], exclude=["Rain"]).classes == []


def test_names_stand_for_the_classes_below_them_if_groups_are_used(classifier: AudioClassifier) -> None:
    selection = classifier.selection(labels=["Dog", "Human locomotion"], exclude=["Growling"], groups=True)
    assert [label.name for label in selection.classes] == [
        "Run",
        "Shuffle",
        "Walk, footsteps",
        "Dog",
        "Bark",
        "Yip",
        "Howl",
        "Bow-wow",
        "Whimper (dog)",
    ]
    others = classifier.selection(exclude=["Human sounds", "Music"], groups=True)
    assert len(others.classes) + len(others.excluded) == 527
    assert {"Speech", "Guitar"} <= {label.name for label in others.excluded}
    assert {"Dog", "Rain"} <= {label.name for label in others.classes}


@pytest.mark.parametrize("groups", [False, True])
def test_unknown_name_is_an_error_of_its_parameter(classifier: AudioClassifier, groups: bool) -> None:
    with pytest.raises(UnknownLabelError) as caught:
        classifier.selection(labels=["Rain"], exclude=["Dogg"], groups=groups)
    assert caught.value.parameter == "exclude"
    assert "'Dog'" in caught.value.hint
    with pytest.raises(UnknownLabelError) as caught:
        classifier.selection(labels=["Dogg"], exclude=["Rain"], groups=groups)
    assert caught.value.parameter == "label"


def test_group_is_unknown_if_groups_are_not_used(classifier: AudioClassifier) -> None:
    with pytest.raises(UnknownLabelError, match="label: no class is called 'Human sounds'"):
        classifier.selection(labels=["Human sounds"])
    with pytest.raises(UnknownLabelError, match="exclude: no class is called 'Human sounds'"):
        classifier.selection(exclude=["Human sounds"])


def test_classes_of_other_models_are_excluded_by_name_or_id() -> None:
    labels = LabelSet([Label(0, "own/1", "Crane"), Label(1, "own/2", "Pump")])
    assert [label.name for label in Selection(labels, exclude=["crane"]).classes] == ["Pump"]
    assert [label.name for label in Selection(labels, exclude=["own/2"]).classes] == ["Crane"]
