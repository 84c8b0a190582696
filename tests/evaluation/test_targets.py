"""Targets: names, ids, mappings, and scores of several classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_classifier.errors import InvalidParameterError, UnknownLabelError
from audio_classifier.evaluation.targets import Target, TargetColumns, find_targets, read_mapping
from audio_classifier.model.labels import Label, LabelSet

KNOWN = LabelSet([Label(0, "/m/0", "Dog"), Label(1, "/m/1", "Bark"), Label(2, "/m/2", "Chicken, rooster")])


def mapping(tmp_path: Path, text: str) -> dict[str, Target]:
    path = tmp_path / "map.csv"
    path.write_text(text)
    return read_mapping(path)


def test_names_and_ids_of_one_class_are_one_target() -> None:
    targets, positions = find_targets(["dog", "/m/0", "Bark"], {}, KNOWN)
    assert targets == [Target("Dog", ("Dog",)), Target("Bark", ("Bark",))]
    assert positions == {"dog": 0, "/m/0": 0, "Bark": 1}


def test_mapping_has_several_classes_in_rows_and_fields(tmp_path: Path) -> None:
    found = mapping(tmp_path, 'label,class\n001 - Dog,Dog;Bark\n001 - dog,Dog\nHen,"Chicken, rooster"\n')
    targets, positions = find_targets(["001 - DOG", "Hen", "Bark"], found, KNOWN)
    assert targets == [
        Target("001 - Dog", ("Dog", "Bark")),
        Target("Hen", ("Chicken, rooster",)),
        Target("Bark", ("Bark",)),
    ]
    assert positions == {"001 - DOG": 0, "Hen": 1, "Bark": 2}


def test_unknown_label_is_refused_with_similar_names() -> None:
    with pytest.raises(UnknownLabelError, match="Barkk") as raised:
        find_targets(["Barkk"], {}, KNOWN)
    assert "'Bark'" in raised.value.hint
    assert "--map" in raised.value.hint


@pytest.mark.parametrize("text", ["label\nDog\n", "label,class\nDog,\n", "label,class\n,Dog\n"])
def test_malformed_mapping_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="expected a"):
        mapping(tmp_path, text)


def test_score_is_highest_of_the_classes() -> None:
    columns = TargetColumns([Target("a", ("Dog", "/m/1", "dog")), Target("b", ("/m/2",))], KNOWN)
    probabilities = np.array([0.1, 0.7, 0.2], np.float32)
    assert columns.scores(probabilities).tolist() == pytest.approx([0.7, 0.2])
    assert columns.among_top(probabilities, 1).tolist() == [True, False]
    assert columns.among_top(probabilities, 2).tolist() == [True, True]
    assert [[label.name for label in found] for found in columns.classes] == [
        ["Dog", "Bark"],
        ["Chicken, rooster"],
    ]
