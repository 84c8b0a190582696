"""The report of a training: Markdown for people, JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from audio_classifier.errors import describe_error
from audio_classifier.evaluation.report import estimate_text, table
from audio_classifier.model.bundle import Bundle
from audio_classifier.own_classes.examples import Example
from audio_classifier.own_classes.near_duplicates import MAX_PAIRS, MIN_COSINE
from audio_classifier.own_classes.training import Trained

NONE: Final = "none of these"
MIN_RECORDINGS: Final = 10  # of a class; with fewer, an interval for its recall is wider than about 30 points
MIN_GROUPS: Final = 3
LARGEST_ERRORS: Final = 20
SHOWN_PAIRS: Final = 20


def markdown(trained: Trained, bundle: Bundle) -> str:
    """Write the report in Markdown."""
    parts = [f"# Training of {bundle.manifest.name}", _introduction(trained)]
    if problems := list(too_little_data(trained)):
        parts.append("**Too little data:**\n\n" + "\n".join(f"- {problem}" for problem in problems))
    if trained.measures:
        parts += ["## Accuracy", _overall(trained), "## Classes", _classes(trained)]
        parts += ["## Confusion matrix", _confusion(trained), "## Largest errors", _errors(trained)]
    if trained.held_out and len(trained.held_out.pairs):
        parts += ["## Near-duplicates", _duplicates(trained)]
    if any(one.is_split for one in trained.sounds):
        parts += ["## Recordings that were split", _splits(trained)]
    if trained.failures:
        rows = [(one.sound.path, describe_error(one.error)["message"]) for one in trained.failures]
        parts += ["## Recordings that could not be used", table(("recording", "reason"), rows)]
    return "\n\n".join(parts) + "\n"


def to_dict(trained: Trained, bundle: Bundle) -> dict[str, Any]:
    """Return the report as JSON represents it; numbers that are not finite are null."""
    measures, held_out = trained.measures, trained.held_out
    classes = []
    for index, label in enumerate(trained.classes):
        own = measures.classes[index] if measures else None
        examples, recordings, groups = trained.count(label)
        counts = {"label": label, "examples": examples, "recordings": recordings, "groups": groups}
        classes.append(counts | {"measures": _finite(asdict(own)) if own else None})
    return {
        "bundle": _identity(bundle),
        "too_little_data": list(too_little_data(trained)),
        "accuracy": _finite(asdict(measures.accuracy)) if measures else None,
        "mean_average_precision": _finite(asdict(measures.mean_average_precision)) if measures else None,
        "false_alarms": _finite(asdict(measures.false_alarms))
        if measures and measures.false_alarms
        else None,
        "classes": classes,
        "confusion": measures.confusion.tolist() if measures else None,
        "near_duplicates": len(held_out.pairs) if held_out else None,
        "recordings": [
            {
                "file": one.sound.path,
                "group": one.sound.group,
                "examples": [
                    {"start": example.start_s, "end": example.end_s, "labels": sorted(example.labels)}
                    for example in one.examples
                ],
            }
            for one in trained.sounds
        ],
        "failures": [{"file": one.sound.path, **describe_error(one.error)} for one in trained.failures],
    }


def thresholds(trained: Trained, bundle: Bundle) -> dict[str, Any]:
    """Return the content of ``thresholds.json``: the thresholds of the classes that could be measured."""
    found = trained.measures.classes if trained.measures else []
    minimums = {name: one.threshold for name, one in zip(trained.classes, found, strict=False) if one}
    return {"bundle": _identity(bundle), "thresholds": minimums}


def too_little_data(trained: Trained) -> Iterator[str]:
    """Yield a sentence for each reason not to trust the figures."""
    if trained.measures is None:
        yield "All recordings are in one group, so that nothing could be measured. Record in several places."
        return
    for label in trained.classes:
        _, recordings, groups = trained.count(label)
        if groups == 1:
            yield (
                f"{label} has {recordings} recordings, all in one group. It could not be measured. "
                "Record it in other places, too."
            )
        elif recordings < MIN_RECORDINGS:
            yield (
                f"{label} has {recordings} recordings. Its figures are unreliable with fewer than "
                f"{MIN_RECORDINGS}."
            )
        elif groups < MIN_GROUPS:
            yield f"{label} has recordings of {groups} groups. Its figures need at least {MIN_GROUPS}."


def _introduction(trained: Trained) -> str:
    examples = trained.examples
    negatives = sum(not example.labels for example in examples)
    groups = len({example.sound.group for example in examples})
    text = (
        f"{len(trained.sounds)} recordings, {len(examples)} examples of {len(trained.classes)} classes, "
        f"of which {negatives} are negatives, in {groups} groups."
    )
    if trained.held_out:
        folds = int(trained.held_out.folds.max()) + 1
        text += (
            f" All figures are of predictions for examples that the model has not learned from: "
            f"cross-validation in {folds} folds that no group shares. Brackets contain 95% intervals."
        )
    return text


def _overall(trained: Trained) -> str:
    assert trained.measures is not None
    measures = trained.measures
    rows = [
        ("right class", estimate_text(measures.accuracy)),
        ("mean average precision", estimate_text(measures.mean_average_precision)),
    ]
    if measures.false_alarms:
        rows.append(
            ("negatives in which a class reaches its threshold", estimate_text(measures.false_alarms))
        )
    return table(("measure", "value"), rows)


def _classes(trained: Trained) -> str:
    assert trained.measures is not None
    rows = []
    for label, one in zip(trained.classes, trained.measures.classes, strict=True):
        counts = [str(number) for number in trained.count(label)]
        if one is None:
            rows.append([label, *counts, *["–"] * 4])
        else:
            estimates = [estimate_text(one.precision), estimate_text(one.recall)]
            rows.append([label, *counts, f"{one.threshold:.3g}", *estimates, f"{one.average_precision:.3f}"])
    header = ("class", "examples", "recordings", "groups", "threshold")
    text = table((*header, "precision", "recall", "average precision"), rows)
    return text + (
        "\n\nThe threshold has the highest F1 on these predictions; precision and recall are those at the "
        "threshold, and therefore slightly optimistic."
    )


def confusion_of(trained: Trained) -> tuple[list[str], list[list[int]]]:
    """Return the names and the counts of the confusion matrix, without an empty row of negatives."""
    assert trained.measures is not None
    counts = trained.measures.confusion
    names = [*trained.classes, NONE]
    if not counts[-1].any() and not counts[:, -1].any():
        counts, names = counts[:-1, :-1], names[:-1]
    return names, counts.tolist()


def _confusion(trained: Trained) -> str:
    names, counts = confusion_of(trained)
    rows = [
        (name, *(str(count) if count else "" for count in row))
        for name, row in zip(names, counts, strict=True)
    ]
    return f"{table(('is, predicted as', *names), rows)}\n\nExamples with several labels are not counted."


def _errors(trained: Trained) -> str:
    """Write the examples with the largest errors, which may have wrong labels."""
    assert trained.measures is not None
    assert trained.held_out is not None
    names = [*trained.classes, NONE]
    rows = []
    for index in np.argsort(-trained.measures.errors, kind="stable")[:LARGEST_ERRORS]:
        example = trained.examples[index]
        predicted = int(trained.measures.predicted[index])
        probability = trained.held_out.scores[index].max()
        labels = "; ".join(sorted(example.labels)) or NONE
        rows.append((*_place(example), labels, names[predicted], f"{probability:.2f}"))
    header = ("recording", "seconds", "labels", "prediction", "highest probability")
    return "Listen to these first: their labels may be wrong.\n\n" + table(header, rows)


def _duplicates(trained: Trained) -> str:
    assert trained.held_out is not None
    held_out, examples = trained.held_out, trained.examples
    differ = [examples[one].labels != examples[other].labels for one, other in held_out.pairs]
    order = np.argsort(~np.array(differ), kind="stable")[:SHOWN_PAIRS]
    rows = [
        (*_place(examples[one]), *_place(examples[other]), "different" if differ[index] else "equal")
        for index in order
        for one, other in [held_out.pairs[index]]
    ]
    count = f"At least {MAX_PAIRS}" if len(differ) == MAX_PAIRS else str(len(differ))
    text = (
        f"{count} pairs of examples of different groups are almost equal "
        f"(cosine similarity above {MIN_COSINE}). "
        f"{held_out.left_out} times, an example was left out of the training of a fold for that reason. "
        f"{sum(differ)} pairs have different labels."
    )
    return f"{text}\n\n{table(('recording', 'seconds', 'recording', 'seconds', 'labels'), rows)}"


def _splits(trained: Trained) -> str:
    rows = [
        (
            one.sound.path,
            f"{one.duration_s:g}",
            ", ".join(_place(example)[1] for example in one.examples),
        )
        for one in trained.sounds
        if one.is_split
    ]
    return table(("recording", "length in seconds", "examples in seconds"), rows)


def _place(example: Example) -> tuple[str, str]:
    return example.sound.path, f"{example.start_s:g}–{example.end_s:g}"


def _identity(bundle: Bundle) -> dict[str, str]:
    return {"name": bundle.manifest.name, "version": bundle.manifest.version, "digest": bundle.digest}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
