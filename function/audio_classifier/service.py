"""What the doors share: the classifier, loaded once, and what is counted of its work."""

from __future__ import annotations

import logging
import threading
import time

from prometheus_client import CollectorRegistry, Counter, Histogram

from audio_classifier.bundle_store import open_bundle
from audio_classifier.classifier import AudioClassifier, Classification
from audio_classifier.decoding import AudioSource
from audio_classifier.params import CLIP_PATCHES, PATCH_S
from audio_classifier.selection import Selection
from audio_classifier.settings import Settings

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_log = logging.getLogger(__name__)


class Metrics:
    """Prometheus metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "audio_classifier_requests",
            "HTTP requests",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "audio_classifier_stage_seconds",
            "Seconds spent in each stage of a classification",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "audio_classifier_audio_seconds", "Seconds of sound that were classified", registry=self.registry
        )
        self.cold_starts = Counter(
            "audio_classifier_cold_starts", "Times that the model was loaded", registry=self.registry
        )


class Service:
    """A classifier that is loaded at its first use, or before by `load`, and shared by all threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._classifier: AudioClassifier | None = None
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._classifier is not None

    def load(self) -> AudioClassifier:
        """The classifier; others wait while it is loaded.

        Raises
        ------
        BundleError, TransferError
            If the model cannot be had; the next call tries again.
        """
        with self._lock:
            if self._classifier is None:
                begin = time.perf_counter()
                bundle = open_bundle(self.settings.bundle, cache_dir=self.settings.cache_dir)
                self._classifier = AudioClassifier(bundle, threads=self.settings.threads)
                self.metrics.cold_starts.inc()
                _log.info("loaded %s in %.2f s", bundle.manifest.name, time.perf_counter() - begin)
            return self._classifier

    def classify(self, source: AudioSource, selection: Selection, *, start_s: float) -> Classification:
        """Classify one sound and count it; see `AudioClassifier.classify`."""
        result = self.load().classify(source, selection, start_s=start_s)
        for stage, seconds in result.seconds.items():
            self.metrics.stage_seconds.labels(stage).observe(seconds)
        clip_s = CLIP_PATCHES * PATCH_S
        self.metrics.audio_seconds.inc(min(clip_s, max(0.0, (result.audio.duration_s or clip_s) - start_s)))
        return result
