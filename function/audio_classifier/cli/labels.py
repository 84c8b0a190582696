"""``labels``: list the classes of AudioSet or of a bundle, or the groups of AudioSet's ontology."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_classifier.cli.arguments import add_bundle, add_command
from audio_classifier.cli.common import EXIT_OK, EXIT_SOME_FAILED, open_bundle, read_settings
from audio_classifier.cli.terminal import print_error

if TYPE_CHECKING:
    from audio_classifier.model.labels import LabelSet


def add(commands: Any) -> None:
    """Add the command to the parser."""
    labels = add_command(
        commands,
        "labels",
        help="the classes of AudioSet, or of a bundle",
        examples=(
            "labels --search bird",
            "labels --search animal --groups",
            "labels --bundle models/home",
        ),
    )
    labels.set_defaults(run=_labels)
    add_bundle(labels)
    labels.add_argument(
        "--search", default="", metavar="TEXT", help="only classes whose name or id contains it"
    )
    labels.add_argument(
        "-g",
        "--groups",
        action="store_true",
        help="as a tree: also groups of AudioSet's ontology, and what is below the classes found",
    )


def _labels(args: argparse.Namespace) -> int:
    from audio_classifier.model.labels import LabelSet

    labels = LabelSet.read(_table(args.bundle))
    found = False
    for index, label_id, name in _tree(labels, args.search) if args.groups else _list(labels, args.search):
        if not found:
            print(f"{'INDEX':5}  {'ID':<13}  NAME")
        print(f"{index:5}  {label_id:<13}  {name}")
        found = True
    if not found:
        print_error(f"no {'class or group' if args.groups else 'class'} name or id contains {args.search!r}")
    return EXIT_OK if found else EXIT_SOME_FAILED


def _table(bundle: str | None) -> Path:
    """Return the path of the table of a bundle, which is verified, or of AudioSet's classes."""
    if bundle is None:
        from audio_classifier.assets import audioset_labels_path

        return audioset_labels_path()
    from audio_classifier.model.manifest import LABELS

    return open_bundle(bundle, read_settings()).path(LABELS)


def _list(labels: LabelSet, text: str) -> Iterator[tuple[int | str, str, str]]:
    """Yield the index, id and name of each class that is found."""
    for label in labels.search(text):
        yield label.index, label.label_id, label.name


def _tree(labels: LabelSet, text: str) -> Iterator[tuple[int | str, str, str]]:
    """Yield the same for classes and groups, and for those below them, with indented names.

    Groups that are not classes have no index.  A class that belongs to several groups follows each of them.
    """
    from audio_classifier.model.label_groups import GroupedLabelSet
    from audio_classifier.model.ontology import audioset_ontology

    ontology = audioset_ontology()
    grouped = GroupedLabelSet(labels, ontology)
    indices = {label.label_id: label.index for label in labels}
    names = {group.label_id: group.name for group in grouped.search_groups("")}
    found = {group.label_id for group in grouped.search_groups(text)}
    below = {label_id for one in found for label_id in ontology.descendants(one)}

    def subtree(label_id: str, indent: str) -> Iterator[tuple[int | str, str, str]]:
        if label_id in names:
            yield indices.get(label_id, ""), label_id, indent + names[label_id]
            for child_id in ontology.children(label_id):
                yield from subtree(child_id, indent + "  ")

    for label_id in dict.fromkeys([*(node.label_id for node in ontology), *indices]):
        if label_id in found - below:
            yield from subtree(label_id, "")
