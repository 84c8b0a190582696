from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from training.evaluation import evaluate as evaluation
from training.evaluation import report
from training.evaluation.agreement import agreement
from training.evaluation.evaluate import (
    GROUPS,
    Evaluation,
    EvaluationSet,
    average_precision,
    class_names,
    evaluate,
    is_uncommon,
)


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.9, 0.8, 0.1], [True, True, False], 1.0),
        ([0.9, 0.8, 0.1], [False, False, True], 1 / 3),
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, False], (1 + 2 / 3) / 2),
    ],
)
def test_average_precision(scores: list[float], present: list[bool], expected: float) -> None:
    assert average_precision(np.array(scores, np.float32), np.array(present)) == pytest.approx(expected)


def test_groups_contain_every_class_once() -> None:
    assert sorted(index for group in GROUPS.values() for index in group) == [*range(527)]
    names = class_names()
    assert [names[group[0]] for group in GROUPS.values()] == [
        "Speech", "Animal", "Music", "Wind", "Vehicle", "Whoosh, swoosh, swish", "Silence",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(classifier: AudioClassifier, assets: Path) -> EvaluationSet:
    """The sample recordings, with the built-in model's probabilities as the teacher's scores."""
    paths = sorted(assets.glob("*.wav"))
    scores = np.stack([classifier.probabilities(path) for path in paths])
    return EvaluationSet([path.stem for path in paths], [*paths], scores, scores)


@pytest.fixture(scope="module")
def perfect(classifier: AudioClassifier, inputs: EvaluationSet) -> Evaluation:
    return evaluate(classifier, inputs)


def test_evaluation_is_perfect_when_scores_equal_the_teachers(
    classifier: AudioClassifier, perfect: Evaluation, inputs: EvaluationSet
) -> None:
    for agreed in (perfect.with_teacher, perfect.with_clip_teacher):
        assert agreed is not None
        assert agreed.everything == agreement(inputs.teacher, inputs.teacher)
        assert (agreed.everything.top1, agreed.everything.top5) == (1, 1)
        assert agreed.uncommon.count == int(is_uncommon(inputs.teacher).sum()) < agreed.everything.count
        assert {*agreed.precisions.values()} <= {1.0}
    assert {area for area, clips in perfect.areas.values() if clips} <= {1.0}
    assert sum(one.count for one in perfect.groups.values()) == len(inputs.names)
    one_teacher = evaluate(classifier, replace(inputs, clip_teacher=None))
    assert one_teacher.with_clip_teacher is None
    assert one_teacher.calibration_error == pytest.approx(0, abs=1e-6)


def test_calibration_error_is_large_when_probabilities_are_too_low(
    perfect: Evaluation, inputs: EvaluationSet
) -> None:
    halved = inputs.teacher * np.float32(0.5)
    bins = evaluation._reliability(halved, inputs.teacher)
    underconfident = Evaluation(halved, perfect.with_teacher, None, {}, {}, bins)
    assert underconfident.calibration_error > 0.1


def test_report_contains_all_sections_samples_and_facts(perfect: Evaluation, inputs: EvaluationSet) -> None:
    current, earlier = (report.BundleResults(version, perfect, perfect) for version in ("2.0", "1.0"))
    text = report.document(current, earlier, inputs, inputs, {"size": "6 MB"})
    for part in (
        "# Evaluation of `compact` 2.0",
        "## Calibration",
        "## Agreement with the second teacher",
        "## Limitations",
        "| size | 6 MB |",
    ):
        assert part in text
    for name in inputs.names:
        assert f"**{name}**" in text
    lines = [line for line in io.StringIO(text) if line.startswith("|")]
    assert all(line.count("|") > 2 for line in lines)
    assert report.metrics(perfect)["all"]["top1"] == 1
