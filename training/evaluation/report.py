"""Write EVALUATION.md: the measurements of a bundle and of the version before it, in tables and text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.agreement import Agreement
from training.evaluation.evaluate import (
    BINS,
    LOW_PRESENT_SCORE,
    PRESENT_SCORE,
    Bin,
    Evaluation,
    EvaluationSet,
    TeacherAgreement,
    class_names,
    is_uncommon,
)

WEAK_CLASSES: Final = 20
TOP: Final = 5
WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class BundleResults:
    """A bundle's version, and its evaluation on the validation set and on sample recordings."""

    version: str
    validation: Evaluation
    samples: Evaluation | None = None


Pair: TypeAlias = tuple[Evaluation, Evaluation]
"""Evaluations of the earlier and of the current bundle."""


def document(
    current: BundleResults,
    earlier: BundleResults,
    validation: EvaluationSet,
    samples: EvaluationSet | None,
    facts: dict[str, str],
    real_labels: str | None = None,
) -> str:
    """Write the report in Markdown.

    Parameters
    ----------
    current, earlier
        Results of the bundle that the report is about, and of the version before it.
    validation, samples
        The inputs that both were evaluated on.
    facts
        Further measurements, by name.
    real_labels
        The section on recordings with labels by people; None for no such section.
    """
    versions = (earlier.version, current.version)
    pair = (earlier.validation, current.validation)
    errors = [f"{one.calibration_error:.4f}" for one in pair]
    parts = [
        f"# Evaluation of `compact` {current.version}",
        "Written by `python -m training`; do not edit.",
        _method(validation, len(current.validation.with_teacher.precisions)),
        "## Agreement with YAMNet",
        _table(("measure", *versions), _agreement([one.with_teacher for one in pair])),
        *_second_teacher(pair, versions),
        "## Agreement by group of classes",
        "Clips are grouped by the top level of AudioSet's ontology, according to YAMNet's top class.",
        _table(("group", "clips", *_both("top-1", versions), *_both("cosine", versions)), _groups(pair)),
        "## Calibration",
        textwrap.fill(
            "The table divides the model's probabilities into intervals and compares their means with the "
            "mean targets of the same clips and classes. The expected calibration error, without the lowest "
            f"interval, is {errors[0]} for {versions[0]} and {errors[1]} for {versions[1]}.",
            WIDTH,
        ),
        _table(("probability", *_both("mean", versions), *_both("target", versions)), _reliability(pair)),
        *([real_labels] if real_labels else []),
        "## Limitations",
        *_limitations(current.validation),
    ]
    if samples is not None and current.samples is not None and earlier.samples is not None:
        columns = {"YAMNet": samples.teacher}
        if samples.clip_teacher is not None:
            columns["clip teacher"] = samples.clip_teacher
        columns |= {earlier.version: earlier.samples.scores, current.version: current.samples.scores}
        parts += [
            "## Predictions for sample recordings",
            "The tables list the five highest scores of the teachers and of both versions.",
            *_one_by_one(samples.names, columns),
        ]
    parts += ["## Size and speed", _table(("measurement", "value"), facts.items())]
    return "\n\n".join(parts) + "\n"


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures for the manifest."""

    def figures(one: Agreement) -> dict[str, float]:
        names = {"sounds": one.count, "top1": one.top1, "top5_overlap": one.top5, "cosine": one.cosine}
        return {name: round(value, 3) for name, value in names.items()}

    return {
        "validation": "agreement with YAMNet on recordings that were not used for training",
        "all": figures(evaluation.with_teacher.everything),
        "without_speech_music_silence": figures(evaluation.with_teacher.uncommon),
        "mean_average_precision": round(evaluation.with_teacher.mean_precision, 3),
        "calibration_error": round(evaluation.calibration_error, 4),
    }


def _method(validation: EvaluationSet, classes: int) -> str:
    uncommon = int(is_uncommon(validation.teacher).sum())
    second = (
        "The second teacher scores the clip as a whole. The target that the model learns is the probability "
        "that either of them is right; for classes that YAMNet does not know, it is the second teacher's "
        "score. Agreement with YAMNet alone decreases where the second teacher finds other classes; "
        "recordings with labels by people show which of them is right more often."
    )
    paragraphs = [
        "The training data has no labels by people, so the model is evaluated by its agreement with its "
        f"teachers. The validation set contains {len(validation.names)} clips of recordings that were not "
        "used for training: one recording in twenty is kept for it. The scores of YAMNet, the first teacher, "
        "are pooled over the patches of a clip (`sum p^2 / sum p`). "
        f"{'' if validation.clip_teacher is None else second}",
        '"Uncommon" clips are those whose top class, according to the teacher, is not speech, music or '
        f"silence: {uncommon} clips according to YAMNet. Mean average precision is over the classes that are "
        f"present in at least three clips, {classes} according to YAMNet; a class is present if the score of "
        f"the teacher is above {PRESENT_SCORE}.",
    ]
    return "\n\n".join(textwrap.fill(paragraph, WIDTH) for paragraph in paragraphs)


def _agreement(pair: Sequence[TeacherAgreement]) -> list[list[str]]:
    measures: dict[str, Callable[[TeacherAgreement], float]] = {
        "same top class, all clips": lambda one: one.everything.top1,
        "same top class, uncommon clips": lambda one: one.uncommon.top1,
        "overlap of the top five classes, all clips": lambda one: one.everything.top5,
        "overlap of the top five classes, uncommon clips": lambda one: one.uncommon.top5,
        "cosine similarity of all scores, all clips": lambda one: one.everything.cosine,
        "cosine similarity of all scores, uncommon clips": lambda one: one.uncommon.cosine,
        "mean average precision, all classes": lambda one: one.mean_precision,
        "mean average precision, without speech, music and silence": lambda one: one.uncommon_precision,
    }
    return [[name, *(f"{measure(one):.3f}" for one in pair)] for name, measure in measures.items()]


def _second_teacher(pair: Pair, versions: tuple[str, str]) -> list[str]:
    """Write the sections on the second teacher; none if there was none."""
    agreements = [one.with_clip_teacher for one in pair if one.with_clip_teacher is not None]
    if len(agreements) < len(pair):
        return []
    rows = [
        [name, str(clips), *(f"{one.areas[name][0]:.3f}" if clips else "-" for one in pair)]
        for name, (_, clips) in pair[0].areas.items()
    ]
    return [
        "## Agreement with the second teacher",
        _table(("measure", *versions), _agreement(agreements)),
        "## Classes that only the second teacher knows",
        "The area under the ROC curve, where a class is present in the clips that the second teacher scores "
        f"above {LOW_PRESENT_SCORE}. It scores these classes low, and so does the model:",
        _table(("class", "clips", *versions), rows),
    ]


def _groups(pair: Pair) -> list[list[str]]:
    earlier, current = pair
    rows = []
    for name, one in current.groups.items():
        before = earlier.groups[name]
        figures = (before.top1, one.top1, before.cosine, one.cosine)
        rows.append([name, str(one.count), *(f"{figure:.3f}" for figure in figures)])
    return rows


def _reliability(pair: Pair) -> list[list[str]]:
    rows = []
    for index in range(BINS):
        bins = [one.reliability.get(index, Bin(np.nan, np.nan, 0)) for one in pair]
        figures = [*(one.probability for one in bins), *(one.teacher for one in bins)]
        rows.append([f"{index / BINS:.1f} to {(index + 1) / BINS:.1f}", *(f"{one:.2f}" for one in figures)])
    return rows


def _limitations(evaluation: Evaluation) -> list[str]:
    with_teacher, groups = evaluation.with_teacher, evaluation.groups
    weakest = sorted(with_teacher.precisions, key=lambda name: with_teacher.precisions[name])[:WEAK_CLASSES]
    first, second, *_ = sorted(groups, key=lambda name: groups[name].top1)
    unknown = (
        "Six classes are never predicted, because the teacher does not know them: male and female speech, "
        "male and female singing, battle cries and funny music. Speech and singing in general are predicted. "
    )
    return [
        f"Agreement on the top class is lowest for {first} and {second}. The classes with the lowest average "
        "precision are:",
        _table(
            ("class", "average precision", "clips"),
            [
                [name, f"{with_teacher.precisions[name]:.2f}", str(with_teacher.input_counts[name])]
                for name in weakest
            ],
        ),
        ("" if evaluation.with_clip_teacher else unknown)
        + "The model learned rare classes from few examples, or only from synthetic clips. It is small: the "
        "published models of `audio-classifier bundle list` are more accurate where they are available.",
    ]


def _one_by_one(names: Sequence[str], columns: Mapping[str, NDArray[np.float32]]) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        best = [_best(scores[index]) for scores in columns.values()]
        parts += [f"**{name}**", _table([*columns], zip(*best, strict=True))]
    return parts


def _best(scores: NDArray[np.float32]) -> list[str]:
    names = class_names()
    return [f"{names[index]} {scores[index]:.2f}" for index in np.argsort(-scores)[:TOP]]


def _both(name: str, versions: tuple[str, str]) -> list[str]:
    return [f"{name}, {version}" for version in versions]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
