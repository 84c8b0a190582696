"""The classes of a model in the groups of AudioSet's ontology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audio_classifier.model.labels import Label, LabelSet
from audio_classifier.model.name_index import NameIndex
from audio_classifier.model.ontology import Ontology


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """A class of the model, or a group of the ontology, and the classes of the model that belong to it."""

    label_id: str
    name: str
    labels: tuple[Label, ...]


class GroupedLabelSet(LabelSet):
    """The classes of a model, where a name also stands for all classes below it in the ontology.

    The ontology's nodes that are not classes themselves, such as Human sounds, can be named if any class
    belongs to them.  A class that the ontology does not contain stands for itself only.

    Parameters
    ----------
    labels
        The classes; their names take precedence over those of the ontology.
    ontology
        The groups.
    """

    def __init__(self, labels: LabelSet, ontology: Ontology) -> None:
        super().__init__(tuple(labels))
        by_id = {label.label_id: label for label in labels}
        nodes = [*labels, *(node for node in ontology if node.label_id not in by_id)]
        by_text: dict[str, LabelGroup] = {}
        for node in nodes:
            ids = {node.label_id} | ontology.descendants(node.label_id)
            members = sorted((by_id[one] for one in ids & by_id.keys()), key=lambda label: label.index)
            if members:
                group = LabelGroup(node.label_id, node.name, tuple(members))
                for text in (node.label_id, node.name):
                    by_text.setdefault(text.casefold(), group)
        self._groups = NameIndex(by_text, "class or group")

    def members(self, text: str, *, parameter: str = "label") -> Sequence[Label]:
        """Return the classes that a name or id stands for, in the model's order.

        Raises
        ------
        UnknownLabelError
            If there is no class or group of that name.
        """
        return self._groups.find(text, parameter=parameter).labels

    def split(self, text: str) -> list[str]:
        """Split a comma-separated list of names or ids of classes and groups."""
        return self._groups.split(text)

    def search_groups(self, text: str) -> list[LabelGroup]:
        """Return the classes and groups whose name or id contains the text: first the classes."""
        return self._groups.search(text)
