from __future__ import annotations

import pytest

from audio_classifier.assets import audioset_labels_path
from audio_classifier.errors import UnknownLabelError
from audio_classifier.model.label_groups import GroupedLabelSet
from audio_classifier.model.labels import Label, LabelSet
from audio_classifier.model.ontology import audioset_ontology


def grouped(labels: LabelSet) -> GroupedLabelSet:
    return GroupedLabelSet(labels, audioset_ontology())


def own(*labels: tuple[str, str]) -> GroupedLabelSet:
    """Return the labels of a bundle with its own classes, by id and name."""
    return grouped(LabelSet([Label(index, *label) for index, label in enumerate(labels)]))


@pytest.fixture(scope="module")
def labels() -> GroupedLabelSet:
    return grouped(LabelSet.read(audioset_labels_path()))


def members(labels: LabelSet, text: str) -> list[str]:
    return [label.name for label in labels.members(text)]


def test_name_stands_for_the_class_and_those_below_it_in_the_models_order(labels: GroupedLabelSet) -> None:
    dog = ["Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"]
    assert members(labels, "Dog") == members(labels, " DOG ") == members(labels, "/M/0bt9lr") == dog
    assert {*dog, "Animal", "Cat", "Croak"} <= {*members(labels, "Animal")}
    assert members(labels, "Bark") == ["Bark"]


def test_group_that_is_not_a_class_stands_for_the_classes_in_it(labels: GroupedLabelSet) -> None:
    assert {"Speech", "Cough", "Clapping"} <= {*members(labels, "human sounds")}
    assert members(labels, "Recording") == members(labels, "/m/025l19") == ["Field recording"]


def test_groups_at_the_top_contain_all_classes(labels: GroupedLabelSet) -> None:
    names = ["Human sounds", "Animal", "Music", "Natural sounds", "Sounds of things"]
    names += ["Source-ambiguous sounds", "Channel, environment and background"]
    assert {label for name in names for label in labels.members(name)} == {*labels}


def test_classes_are_found_and_listed_as_without_groups(labels: GroupedLabelSet) -> None:
    assert labels.find("Dog").name == "Dog"
    assert len(labels) == 527
    with pytest.raises(UnknownLabelError, match="no class is called 'Human sounds'"):
        labels.find("Human sounds")


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("Human sound", "'Human sounds'"), ("Dogg", "'Dog'"), ("digestiv", "'Digestive'")],
)
def test_unknown_group_is_refused_with_similar_names(
    labels: GroupedLabelSet, text: str, suggestion: str
) -> None:
    with pytest.raises(UnknownLabelError, match=f"exclude: no class or group is called '{text}'") as caught:
        labels.members(text, parameter="exclude")
    assert suggestion in caught.value.hint


def test_group_without_classes_is_unknown(labels: GroupedLabelSet) -> None:
    with pytest.raises(UnknownLabelError, match="no class or group is called 'Yak'"):
        labels.members("Yak")


def test_list_is_split_at_commas_outside_of_the_names_of_groups(labels: GroupedLabelSet) -> None:
    text = "Channel, environment and background,domestic sounds, home sounds,Rain"
    assert labels.split(text) == [
        "Channel, environment and background",
        "domestic sounds, home sounds",
        "Rain",
    ]


def test_search_finds_groups(labels: GroupedLabelSet) -> None:
    names = [group.name for group in labels.search_groups("HUMAN")]
    assert names == ["Human sounds", "Human voice", "Human locomotion", "Human group actions"]
    assert labels.search_groups("chipmunk") == []


def test_label_that_the_ontology_does_not_contain_stands_for_itself() -> None:
    labels = own(("own/1", "Crane"), ("/m/0bt9lr", "Hund"), ("/m/05tny_", "Bellen"))
    assert members(labels, "Crane") == ["Crane"]
    assert members(labels, "Hund") == members(labels, "Animal") == ["Hund", "Bellen"]


def test_names_of_labels_take_precedence_over_those_of_the_ontology() -> None:
    labels = own(("own/1", "Animal"), ("/m/0bt9lr", "Dog"))
    assert members(labels, "Animal") == ["Animal"]
    assert members(labels, "/m/0jbk") == ["Dog"]


def test_model_without_classes_of_the_ontology_has_no_groups() -> None:
    labels = own(("own/1", "Crane"))
    assert [group.name for group in labels.search_groups("")] == ["Crane"]
    with pytest.raises(UnknownLabelError):
        labels.members("Animal")
