"""AudioSet's ontology: groups of sounds, which contain narrower groups and classes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from audio_classifier.assets import audioset_ontology_path

HEADER: Final = ("id", "name", "child_ids")


@dataclass(frozen=True, slots=True)
class Node:
    """A group or a class: its id, its English name and the ids of its children."""

    label_id: str
    name: str
    child_ids: tuple[str, ...]


class Ontology:
    """A directed graph of nodes: a node may have several parents, as Growling has Dog and Cat.

    Source: Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.label_id: node for node in nodes}

    @classmethod
    def read(cls, path: Path) -> Ontology:
        """Read a table of ids, names and the ids of children, which are separated by spaces."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)  # the header
            return cls(Node(label_id, name, tuple(children.split())) for label_id, name, children in rows)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def children(self, label_id: str) -> tuple[str, ...]:
        """Return the ids of a node's children; none if the ontology does not contain the node."""
        node = self._nodes.get(label_id)
        return () if node is None else node.child_ids

    def descendants(self, label_id: str) -> set[str]:
        """Return the ids of a node's children, of their children, and so on."""
        found: set[str] = set()
        remaining = [label_id]
        while remaining:
            new = set(self.children(remaining.pop())) - found
            found |= new
            remaining.extend(new)
        return found


@cache
def audioset_ontology() -> Ontology:
    """Read the ontology that is shipped with the package, once."""
    return Ontology.read(audioset_ontology_path())
