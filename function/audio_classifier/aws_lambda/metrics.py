"""Count work in CloudWatch's embedded metric format."""

from __future__ import annotations

import threading
from typing import Final

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from audio_classifier.inference.clip import Classification

NAMESPACE: Final = "AudioClassifier"
SERVICE: Final = "audio-classifier"


class EmbeddedMetrics:
    """An observer of the classifier; `flush` prints the counts at the end of each invocation.

    Threads may add counts at the same time, which Powertools does not support.
    """

    def __init__(self) -> None:
        self._metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
        self._adding = threading.Lock()

    def model_loaded(self, seconds: float) -> None:
        """Count a cold start."""
        self.count_cold_start()
        self._add("LoadSeconds", MetricUnit.Seconds, seconds)

    def clip_classified(self, classification: Classification) -> None:
        """Count a clip."""
        self._add("AudioSeconds", MetricUnit.Seconds, classification.analyzed_s)
        for stage, seconds in classification.seconds.items():
            self._add(f"{stage.capitalize()}Seconds", MetricUnit.Seconds, seconds)

    def recording_analyzed(self, analyzed_s: float) -> None:
        """Count a timeline."""
        self._add("AudioSeconds", MetricUnit.Seconds, analyzed_s)

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Do nothing: traces contain these stages."""

    def count_cold_start(self) -> None:
        """Count an environment that was started or restored."""
        self._add("ColdStart", MetricUnit.Count, 1)

    def count_failure(self) -> None:
        """Count a failed invocation, message or task."""
        self._add("Failures", MetricUnit.Count, 1)

    def _add(self, name: str, unit: MetricUnit, value: float) -> None:
        with self._adding:
            self._metrics.add_metric(name, unit, value)

    def discard(self) -> None:
        """Discard the counts."""
        self._metrics.clear_metrics()

    def flush(self, function_name: str) -> None:
        """Print the metrics of an invocation, if there are any."""
        if self._metrics.provider.metric_set:
            self._metrics.add_dimension("function_name", function_name)
            self._metrics.flush_metrics()
