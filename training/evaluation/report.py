"""EVALUATION.md: what was measured of a bundle, beside the version before it, in tables and plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.agreement import Agreement
from training.evaluation.evaluate import BINS, HEARD, Bin, Evaluation, Sounds, names_of_classes

WEAK_CLASSES: Final = 20
TOP: Final = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """A bundle's version, and what was measured of it: on validation, and on sounds shown one by one."""

    version: str
    validation: Evaluation
    samples: Evaluation | None = None


Pair: TypeAlias = tuple[Evaluation, Evaluation]
"""Of the earlier bundle, and of the one that it is about."""


def document(
    now: Judged, earlier: Judged, validation: Sounds, samples: Sounds | None, facts: dict[str, str]
) -> str:
    """All of it, in Markdown.

    Parameters
    ----------
    now, earlier
        The bundle that it is about, and the one before.
    validation, samples
        What both were judged on.
    facts
        What else was measured, by name.
    """
    versions = (earlier.version, now.version)
    pair = (earlier.validation, now.validation)
    errors = [f"{one.calibration_error:.4f}" for one in pair]
    parts = [
        f"# What `compact` {now.version} can do",
        "Written by `python -m training`; do not edit.",
        _method(validation, len(now.validation.precisions)),
        "## Agreement",
        _table(("with the teacher", *versions), _agreement(pair)),
        "## By what the teacher hears first",
        _table(("group", "sounds", *_both("top-1", versions), *_both("cosine", versions)), _groups(pair)),
        "## What probabilities mean",
        "Probabilities by size, and the teacher's mean score where they are given. From 0.1 on their mean "
        f"distance is {errors[0]} for {versions[0]} and {errors[1]} for {versions[1]}.",
        _table(("probability", *_both("mean", versions), *_both("teacher", versions)), _reliability(pair)),
        "## What it is bad at",
        *_weaknesses(now.validation),
    ]
    if samples is not None and now.samples is not None and earlier.samples is not None:
        scores = (samples.teacher, earlier.samples.scores, now.samples.scores)
        parts += ["## Sounds of the original, one by one", *_one_by_one(samples.names, versions, scores)]
    parts += ["## Size and speed", _table(("measured", "value"), facts.items())]
    return "\n\n".join(parts) + "\n"


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The figures that go into the manifest."""

    def figures(one: Agreement) -> dict[str, float]:
        names = {"sounds": one.sounds, "top1": one.top1, "top5_overlap": one.top5, "cosine": one.cosine}
        return {name: round(value, 3) for name, value in names.items()}

    return {
        "validation": "agreement with the teacher on recordings that were not learned from",
        "all": figures(evaluation.everything),
        "without_speech_music_silence": figures(evaluation.uncommon),
        "mean_average_precision": round(evaluation.mean_precision, 3),
        "calibration_error": round(evaluation.calibration_error, 4),
    }


def _method(validation: Sounds, classes: int) -> str:
    uncommon = int(validation.uncommon.sum())
    return f"""\
Without labels by people all that can be measured is how far it agrees with its teacher, YAMNet. The sounds
are {len(validation.names)} clips of recordings that it did not learn from: one recording in twenty is kept
apart. A sound's score by the teacher is pooled over its patches (`sum p^2 / sum p`). The earlier version was
trained without knowing of this split, so it has learned from some of these recordings: its figures flatter
it.

"Uncommon" are the {uncommon} sounds in which the teacher hears something else first than speech, music or
silence. Average precision is over the {classes} classes that the teacher hears (score above {HEARD}) in three
sounds or more."""


def _agreement(pair: Pair) -> list[list[str]]:
    measures: dict[str, Callable[[Evaluation], float]] = {
        "the same class first, all sounds": lambda one: one.everything.top1,
        "the same class first, uncommon": lambda one: one.uncommon.top1,
        "of the teacher's five, all sounds": lambda one: one.everything.top5,
        "of the teacher's five, uncommon": lambda one: one.uncommon.top5,
        "cosine of all scores, all sounds": lambda one: one.everything.cosine,
        "cosine of all scores, uncommon": lambda one: one.uncommon.cosine,
        "mean average precision, all classes": lambda one: one.mean_precision,
        "mean average precision, without speech, music, silence": lambda one: one.uncommon_precision,
    }
    return [[name, *(f"{measure(one):.3f}" for one in pair)] for name, measure in measures.items()]


def _groups(pair: Pair) -> list[list[str]]:
    earlier, now = pair
    rows = []
    for name, one in now.groups.items():
        before = earlier.groups[name]
        figures = (before.top1, one.top1, before.cosine, one.cosine)
        rows.append([name, str(one.sounds), *(f"{figure:.3f}" for figure in figures)])
    return rows


def _reliability(pair: Pair) -> list[list[str]]:
    rows = []
    for index in range(BINS):
        bins = [one.reliability.get(index, Bin(np.nan, np.nan, 0)) for one in pair]
        figures = [*(one.probability for one in bins), *(one.teacher for one in bins)]
        rows.append([f"{index / BINS:.1f} to {(index + 1) / BINS:.1f}", *(f"{one:.2f}" for one in figures)])
    return rows


def _weaknesses(now: Evaluation) -> list[str]:
    weakest = sorted(now.precisions, key=lambda name: now.precisions[name])[:WEAK_CLASSES]
    first, second, *_ = sorted(now.groups, key=lambda name: now.groups[name].top1)
    rows = [[name, f"{now.precisions[name]:.2f}", str(now.heard[name])] for name in weakest]
    return [
        f"It names the teacher's first class least often where that is of {first} or {second}. The classes "
        "that it finds worst:",
        _table(("class", "average precision", "sounds"), rows),
        "Six classes are never answered, because the teacher does not know them: male and female speech and "
        "singing, battle cries and funny music (speech and singing as such are). What is rare in the sounds "
        "that it learned from it knows from few examples, or from synthesis alone. It is small: where the "
        "published model can be had, that is better.",
    ]


def _one_by_one(
    names: Sequence[str], versions: tuple[str, str], scores: Sequence[NDArray[np.float32]]
) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        columns = [_best(values[index]) for values in scores]
        parts += [f"**{name}**", _table(("the teacher", *versions), zip(*columns, strict=True))]
    return parts


def _best(scores: NDArray[np.float32]) -> list[str]:
    names = names_of_classes()
    return [f"{names[index]} {scores[index]:.2f}" for index in np.argsort(-scores)[:TOP]]


def _both(name: str, versions: tuple[str, str]) -> list[str]:
    return [f"{name}, {version}" for version in versions]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
