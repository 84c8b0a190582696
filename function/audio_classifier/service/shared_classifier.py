"""What the doors share: the classifier, loaded once, and whoever watches its work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from audio_classifier.audio.source import AudioSource
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.clip import Classification
from audio_classifier.inference.selection import Selection
from audio_classifier.inference.sound_events import Heard
from audio_classifier.service.settings import Settings

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Somebody who counts."""

    def loaded(self, seconds: float) -> None:
        """The model was loaded, which took so long."""

    def classified(self, result: Classification) -> None:
        """A sound was classified."""

    def listened(self, heard_s: float) -> None:
        """So much of a recording was listened to, window by window."""


class Service:
    """A classifier that is loaded at its first use, or before by `load`, and shared by all threads.

    Attributes
    ----------
    failure
        Why the model could not be loaded at the last try; empty if it could, or none was made.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failure = ""
        self._classifier: AudioClassifier | None = None
        self._lock = threading.Lock()
        self._observers: list[Observer] = []
        self._load_s: float | None = None
        self._telling = threading.Lock()

    def observe(self, observer: Observer) -> None:
        """Tell somebody of all that is done from now on, and of the model if it was loaded before."""
        with self._telling:
            self._observers.append(observer)
            if self._load_s is not None:
                observer.loaded(self._load_s)

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
                try:
                    self._classifier = self._load()
                except Exception as error:
                    self.failure = str(error)
                    raise
                self.failure = ""
            return self._classifier

    def _load(self) -> AudioClassifier:
        begin = time.perf_counter()
        bundle = open_bundle(self.settings.bundle, cache_dir=self.settings.cache_dir)
        classifier = AudioClassifier(bundle, threads=self.settings.threads)
        seconds = time.perf_counter() - begin
        _log.info("loaded %s %s in %.2f s", bundle.manifest.name, bundle.manifest.version, seconds)
        with self._telling:
            self._load_s = seconds
            for observer in self._observers:
                observer.loaded(seconds)
        return classifier

    def classify(self, source: AudioSource, selection: Selection, *, start_s: float = 0.0) -> Classification:
        """Classify one sound; see `AudioClassifier.classify`."""
        result = self.load().classify(source, selection, start_s=start_s)
        for observer in self._observers:
            observer.classified(result)
        return result

    def listen(self, source: AudioSource, *, window_s: float, hop_s: float) -> Iterator[Heard]:
        """Listen to a whole recording; see `AudioClassifier.listen`."""
        heard_s = 0.0
        try:
            for heard in self.load().listen(source, window_s=window_s, hop_s=hop_s):
                heard_s = heard.end_s
                yield heard
        finally:
            for observer in self._observers:
                observer.listened(heard_s)
