"""Train a head on recordings, and write a bundle with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError, InvalidParameterError, NoInputError
from audio_classifier.inference.decoding import Decoder
from audio_classifier.model.attention import Dense
from audio_classifier.model.bundle import Bundle, write_bundle
from audio_classifier.model.labels import HEADER, Label, LabelSet
from audio_classifier.model.linear_head import LinearHead
from audio_classifier.model.manifest import EMBEDDING, HEAD, LABELS, LINEAR_HEAD, POSTPROCESS, Source
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.own_classes.cross_validation import HeldOut, cross_validate
from audio_classifier.own_classes.examples import Example, FailedSound, ReadSound, read_examples
from audio_classifier.own_classes.fitting import fit_head
from audio_classifier.own_classes.measures import Measures, measure
from audio_classifier.own_classes.sounds import Sound

VERSION: Final = "1"
Observer = Callable[[ReadSound | FailedSound], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained head, and how it was made.

    Attributes
    ----------
    classes
        Their names, sorted; the order of the head's classes.
    sounds
        The recordings that were read.
    failures
        Those that could not be.
    head
        The head, trained on all examples.
    held_out, measures
        The predictions of cross-validation and their measures; None if all examples are in one group.
    """

    classes: list[str]
    sounds: list[ReadSound]
    failures: list[FailedSound]
    head: LinearHead
    held_out: HeldOut | None
    measures: Measures | None

    @property
    def examples(self) -> list[Example]:
        """The examples of all recordings, in the order of the predictions."""
        return [example for one in self.sounds for example in one.examples]

    def count(self, label: str) -> tuple[int, int, int]:
        """Return the number of examples, recordings and groups of a class."""
        own = [example for example in self.examples if label in example.labels]
        sounds = {example.sound.path for example in own}
        return len(own), len(sounds), len({example.sound.group for example in own})


def check_base(bundle: Bundle) -> None:
    """Raise `InvalidParameterError` if a bundle has no codes of patches to learn from."""
    if bundle.manifest.network != "patches":
        raise InvalidParameterError(
            "base",
            f"expected a model that reads patches, such as compact; {bundle.manifest.name} reads clips",
            hint="Use --base compact, or the directory of another bundle with an embedding.tflite.",
        )


def train(
    sounds: Sequence[Sound],
    base: Bundle,
    decoder: Decoder,
    *,
    threads: int,
    seed: int = 0,
    on_read: Observer | None = None,
) -> Trained:
    """Train a head for the classes of recordings, and measure it by cross-validation.

    Parameters
    ----------
    sounds
        See `find_sounds`.
    base
        The bundle with the embedding.
    decoder, threads
        Decodes recordings, in this number of threads.
    seed
        Of folds and intervals.
    on_read
        Called with each recording that was read or failed.

    Raises
    ------
    InvalidParameterError
        If the base reads clips, or there is nothing to distinguish a class from.
    NoInputError
        If no recording with a class can be read.
    MissingExtraError
        If scikit-learn is not installed.
    """
    check_base(base)
    classes = classes_of(sounds)
    network = PatchNetwork(base, threads)
    read: list[ReadSound] = []
    failures: list[FailedSound] = []
    with closing(read_examples(sounds, network, decoder, threads=threads)) as items:
        for item in items:
            if isinstance(item, FailedSound):
                failures.append(item)
            else:
                read.append(item)
            if on_read is not None:
                on_read(item)
    examples = [example for one in read for example in one.examples]
    if not any(example.labels for example in examples):
        raise NoInputError(f"no recording with a class can be read; {len(failures)} failed")
    present = np.array([[label in example.labels for label in classes] for example in examples])
    if present.all():
        raise InvalidParameterError(
            "sounds",
            f"expected at least two classes, or negatives, got only {classes[0]!r}",
            hint="Add recordings without the class: --negatives FOLDER.",
        )
    features = np.stack([example.features for example in examples])
    groups = [example.sound.group for example in examples]
    head = fit_head(features, present)
    embeddings = np.stack([example.embedding for example in examples])
    held_out = cross_validate(features, present, embeddings, groups, seed=seed)
    measures = _measure(held_out, present, examples, seed) if held_out else None
    return Trained(classes, read, failures, head, held_out, measures)


def write_own_bundle(
    trained: Trained, base: Bundle, directory: Path, *, name: str, keep_base_classes: bool
) -> Bundle:
    """Write a bundle with the base's network and the trained head.

    Parameters
    ----------
    name
        The name in the manifest.
    keep_base_classes
        Whether the classes of the base come first; otherwise the bundle has only the trained ones.

    Raises
    ------
    BundleInvalidError
        If the directory exists.
    InvalidParameterError
        If a class has the name of one of the base, and these are kept.
    """
    base_files = {entry.path for entry in base.manifest.files}
    base_labels = tuple(LabelSet.read(base.path(LABELS))) if keep_base_classes else ()
    head = trained.head
    files: dict[str, Path] = {name: base.path(name) for name in (EMBEDDING, POSTPROCESS)}
    if keep_base_classes and LINEAR_HEAD in base_files:
        head = joined(LinearHead.from_arrays(base.arrays(LINEAR_HEAD)), head)
    if keep_base_classes and HEAD in base_files:
        files[HEAD] = base.path(HEAD)
    examples, sounds = len(trained.examples), len(trained.sounds)
    metrics: dict[str, float] = {"recordings": sounds, "examples": examples}
    if trained.measures:
        metrics["accuracy"] = round(trained.measures.accuracy.value, 4)
        metrics["mean_average_precision"] = round(trained.measures.mean_average_precision.value, 4)
    source = Source(
        name=f"{base.manifest.name} {base.manifest.version}", origin=f"a bundle with the digest {base.digest}"
    )
    return write_bundle(
        directory,
        {
            **files,
            LINEAR_HEAD: head.arrays(),
            LABELS: _label_table(base_labels, trained.classes),
        },
        schema_version=2,
        name=name,
        version=VERSION,
        description=f"{len(trained.classes)} own classes, learned from {sounds} recordings, "
        f"on the embedding of {base.manifest.name} {base.manifest.version}",
        licence=base.manifest.licence,
        precision=base.manifest.precision,
        provenance=(*base.manifest.provenance, source),
        metrics={"cross_validation": metrics},
    )


def joined(first: LinearHead, second: LinearHead) -> LinearHead:
    """Return a head with the classes of both."""
    kernels, biases = zip(*((head.dense.kernel, head.dense.bias) for head in (first, second)), strict=True)
    return LinearHead(Dense(np.concatenate(kernels, axis=1), np.concatenate(biases)))


def classes_of(sounds: Sequence[Sound]) -> list[str]:
    """Return the classes of recordings, sorted by name; raise the error of `check_names`."""
    classes = sorted({label for sound in sounds for label in sound.all_labels})
    check_names(classes)
    return classes


def check_names(classes: Sequence[str], base: Sequence[Label] = ()) -> None:
    """Raise `InvalidParameterError` if names of classes cannot be those of a bundle, after the base's."""
    try:
        LabelSet([*base, *(Label(len(base) + i, name, name) for i, name in enumerate(classes))])
    except BundleInvalidError as error:
        reason = str(error).removeprefix("labels: ")
        raise InvalidParameterError(
            "classes",
            f"expected different, printable names, ignoring case: {reason}",
            hint="Rename the class"
            + (", or leave out --keep-base-classes." if base else ", or merge those with the same name."),
        ) from error


def _label_table(base: Sequence[Label], classes: Sequence[str]) -> bytes:
    """Write ``labels.csv``; the id of an own class is its name."""
    check_names(classes, base)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADER)
    rows.writerows((label.index, label.label_id, label.name) for label in base)
    rows.writerows((len(base) + index, name, name) for index, name in enumerate(classes))
    return text.getvalue().encode()


def _measure(
    held_out: HeldOut, present: NDArray[np.bool_], examples: Sequence[Example], seed: int
) -> Measures:
    groups = np.array([example.sound.group for example in examples])
    measurable = np.array([len(np.unique(groups[column])) > 1 for column in present.T])
    recordings = [example.sound.path for example in examples]
    return measure(held_out.scores, present, recordings, measurable, seed=seed)
