from __future__ import annotations

import io
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
    Sounds,
    average_precision,
    evaluate,
    names_of_classes,
)


@pytest.mark.parametrize(
    ("scores", "heard", "expected"),
    [
        ([0.9, 0.8, 0.1], [True, True, False], 1.0),
        ([0.9, 0.8, 0.1], [False, False, True], 1 / 3),
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, False], (1 + 2 / 3) / 2),
    ],
)
def test_average_precision(scores: list[float], heard: list[bool], expected: float) -> None:
    assert average_precision(np.array(scores, np.float32), np.array(heard)) == pytest.approx(expected)


def test_groups_hold_every_class_once() -> None:
    assert sorted(index for group in GROUPS.values() for index in group) == [*range(527)]
    names = names_of_classes()
    assert [names[group[0]] for group in GROUPS.values()] == [
        "Speech", "Animal", "Music", "Wind", "Vehicle", "Whoosh, swoosh, swish", "Silence",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def sounds(classifier: AudioClassifier, assets: Path) -> Sounds:
    """The project's own, and a teacher that says of them what the built-in model says."""
    paths = sorted(assets.glob("*.wav"))
    scores = np.stack([classifier.probabilities(path) for path in paths])
    return Sounds([path.stem for path in paths], [*paths], scores)


@pytest.fixture(scope="module")
def perfect(classifier: AudioClassifier, sounds: Sounds) -> Evaluation:
    return evaluate(classifier, sounds)


def test_who_says_the_same_agrees_entirely(perfect: Evaluation, sounds: Sounds) -> None:
    assert perfect.everything == agreement(sounds.teacher, sounds.teacher)
    assert (perfect.everything.top1, perfect.everything.top5) == (1, 1)
    assert perfect.uncommon.sounds == int(sounds.uncommon.sum()) < perfect.everything.sounds
    assert sum(one.sounds for one in perfect.groups.values()) == len(sounds.names)
    assert {*perfect.precisions.values()} <= {1.0}
    assert perfect.calibration_error == pytest.approx(0, abs=1e-6)


def test_who_says_less_is_found_out(perfect: Evaluation, sounds: Sounds) -> None:
    bins = evaluation._reliability(sounds.teacher * np.float32(0.5), sounds.teacher)
    timid = Evaluation(
        sounds.teacher * np.float32(0.5), perfect.everything, perfect.uncommon, {}, {}, {}, bins
    )
    assert timid.calibration_error > 0.1


def test_the_report_shows_both_and_is_whole(perfect: Evaluation, sounds: Sounds) -> None:
    judged = [report.Judged(version, perfect, perfect) for version in ("2.0", "1.0")]
    text = report.document(judged[0], judged[1], sounds, sounds, {"size": "6 MB"})
    for heading in ("# What `compact` 2.0 can do", "## Agreement", "## What it is bad at", "| size | 6 MB |"):
        assert heading in text
    for name in sounds.names:
        assert f"**{name}**" in text
    lines = [line for line in io.StringIO(text) if line.startswith("|")]
    assert all(line.count("|") > 2 for line in lines)
    assert report.metrics(perfect)["all"]["top1"] == 1
