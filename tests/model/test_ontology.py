from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier.assets import audioset_labels_path
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.ontology import Node, Ontology, audioset_ontology


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return audioset_ontology()


def names_below(ontology: Ontology, name: str) -> set[str]:
    """Return the names of the descendants of the node with a name."""
    names = {node.label_id: node.name for node in ontology}
    (label_id,) = (node.label_id for node in ontology if node.name == name)
    return {names[found] for found in ontology.descendants(label_id)}


def test_ontology_is_that_of_audioset(ontology: Ontology) -> None:
    assert len(ontology) == 632
    assert sum(len(node.child_ids) for node in ontology) == 670
    children = {child_id for node in ontology for child_id in node.child_ids}
    assert [node.name for node in ontology if node.label_id not in children] == [
        "Human sounds",
        "Animal",
        "Music",
        "Natural sounds",
        "Sounds of things",
        "Source-ambiguous sounds",
        "Channel, environment and background",
    ]


def test_ids_and_names_are_unique_and_all_children_exist(ontology: Ontology) -> None:
    ids = [node.label_id for node in ontology]
    assert len({*ids, *(node.name.casefold() for node in ontology)}) == 2 * len(ids)
    for node in ontology:
        assert len(set(node.child_ids)) == len(node.child_ids)
        assert {*node.child_ids} <= {*ids}


def test_all_classes_are_in_the_ontology_by_the_same_names(ontology: Ontology) -> None:
    names = {node.label_id: node.name for node in ontology}
    for label in LabelSet.read(audioset_labels_path()):
        assert names[label.label_id] == label.name


def test_ontology_has_no_cycles(ontology: Ontology) -> None:
    assert not [node.name for node in ontology if node.label_id in ontology.descendants(node.label_id)]


def test_descendants_are_those_of_all_levels(ontology: Ontology) -> None:
    assert {"Dog", "Bark", "Domestic animals, pets", "Canidae, dogs, wolves"} <= names_below(
        ontology, "Animal"
    )
    assert names_below(ontology, "Cat") == {
        "Purr",
        "Meow",
        "Hiss",
        "Caterwaul",
        "Growling",
        "Cat communication",
    }
    assert {"Speech", "Whispering", "Cough"} <= names_below(ontology, "Human sounds")
    assert "Speech" not in names_below(ontology, "Animal")
    assert names_below(ontology, "Bark") == set()


def test_unknown_node_has_no_children(ontology: Ontology) -> None:
    assert ontology.children("/m/none") == ()
    assert ontology.descendants("/m/none") == set()


def test_descendants_of_a_cycle_are_finite() -> None:
    ontology = Ontology([Node("a", "A", ("b",)), Node("b", "B", ("a", "missing"))])
    assert ontology.descendants("a") == {"a", "b", "missing"}


def test_table_is_read(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('id,name,child_ids\n/m/a,"A, a",/m/b /m/c\n/m/b,B,\n')
    assert list(Ontology.read(table)) == [Node("/m/a", "A, a", ("/m/b", "/m/c")), Node("/m/b", "B", ())]
