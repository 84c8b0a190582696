from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.aws_lambda.metrics import EmbeddedMetrics


@pytest.fixture
def metrics() -> EmbeddedMetrics:
    metrics = EmbeddedMetrics()
    metrics.discard()  # Powertools shares what was counted between instances
    return metrics


def flushed(metrics: EmbeddedMetrics, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    metrics.flush("classify")
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_clip_is_counted_with_its_seconds(
    metrics: EmbeddedMetrics, classifier: AudioClassifier, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classification = classifier.classify(assets / "rain.wav")
    metrics.clip_classified(classification)
    document = flushed(metrics, capsys)
    assert document["AudioSeconds"] == [pytest.approx(classification.analyzed_s)]
    for stage in ("Read", "Features", "Embedding", "Head"):
        assert document[f"{stage}Seconds"] == [classification.seconds[stage.lower()]]
    assert (document["service"], document["function_name"]) == ("audio-classifier", "classify")
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "AudioClassifier"
    assert sorted(*directive["Dimensions"]) == ["function_name", "service"]


def test_cold_starts_timelines_and_failures_are_counted(
    metrics: EmbeddedMetrics, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics.model_loaded(0.5)
    metrics.recording_analyzed(20.16)
    metrics.count_failure()
    metrics.count_failure()
    document = flushed(metrics, capsys)
    names = ("ColdStart", "LoadSeconds", "AudioSeconds", "Failures")
    assert [document[name] for name in names] == [[1.0], [0.5], [20.16], [1.0, 1.0]]


def test_flush_prints_each_count_once(metrics: EmbeddedMetrics, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count_failure()
    assert "Failures" in flushed(metrics, capsys)
    metrics.flush("classify")
    assert capsys.readouterr().out == ""


def test_discarded_counts_are_not_printed(
    metrics: EmbeddedMetrics, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics.count_cold_start()
    metrics.discard()
    metrics.flush("classify")
    assert capsys.readouterr().out == ""
