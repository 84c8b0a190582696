"""The classifier that all entry points of a process share, and the observers of its work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import TOP_K
from audio_classifier.errors import BundleInvalidError, InvalidParameterError
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.clip import Classification
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.inference.sound_events import Hysteresis, SoundEvent
from audio_classifier.inference.thresholds import Thresholds
from audio_classifier.inference.windows import Window
from audio_classifier.service.settings import PREFIX, Settings

if TYPE_CHECKING:
    from audio_classifier.service.decoder_pool import DecoderPool

_log = logging.getLogger(__name__)


Item = TypeVar("Item")


class Observer(Protocol):
    """An observer of the classifier's work, such as metrics."""

    def model_loaded(self, seconds: float) -> None:
        """Record that the model was loaded in ``seconds``."""

    def clip_classified(self, classification: Classification) -> None:
        """Record that a clip was classified."""

    def recording_analyzed(self, analyzed_s: float) -> None:
        """Record that the first ``analyzed_s`` of a recording were analyzed in windows, or embedded."""

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Record the time of a stage that is not part of a clip.

        ``analyze`` computes windows or embeddings, ``open`` requests an object's properties and its stored
        result, ``store`` stores a result, and ``publish`` publishes it.
        """


class SharedClassifier:
    """A classifier that is loaded at its first use, or earlier by `load`, and shared by all threads.

    Attributes
    ----------
    settings
        The deployment's settings.
    failure
        Why the last attempt to load the model failed; empty if it succeeded, or there was none.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failure = ""
        self._classifier: AudioClassifier | None = None
        self._decoder_pool = _decoder_pool(settings) if settings.isolate_decoding else None
        self._loading = threading.Lock()
        self._observers: list[Observer] = []
        self._load_s: float | None = None
        self._notifying = threading.Lock()

    def observe(self, observer: Observer) -> None:
        """Add an observer.  If the model is loaded already, it is notified of that at once."""
        with self._notifying:
            self._observers.append(observer)
            if self._load_s is not None:
                observer.model_loaded(self._load_s)

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._classifier is not None

    @property
    def loaded(self) -> AudioClassifier | None:
        """The classifier; None if the model is not loaded yet."""
        return self._classifier

    def load(self) -> AudioClassifier:
        """Return the classifier; other threads wait while it is loaded.

        Raises
        ------
        BundleError, TransferError
            If the model cannot be loaded; the next call tries again.
        """
        with self._loading:
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
        if self._decoder_pool is not None:
            self._decoder_pool.start()
        bundle = open_bundle(
            self.settings.bundle,
            cache_dir=self.settings.cache_dir,
            deadline_s=self.settings.download_deadline_s,
        )
        path = self.settings.thresholds
        try:
            classifier = AudioClassifier(
                bundle,
                threads=self.settings.threads,
                decoder=self._decoder_pool,
                thresholds=Thresholds.read(path) if path else None,
            )
        except InvalidParameterError as error:  # of the deployment, not of a request
            raise BundleInvalidError(f"{PREFIX}THRESHOLDS: {error.reason}", hint=error.hint) from error
        seconds = time.perf_counter() - begin
        _log.info("loaded %s %s in %.2f s", bundle.manifest.name, bundle.manifest.version, seconds)
        with self._notifying:
            self._load_s = seconds
            for observer in self._observers:
                observer.model_loaded(seconds)
        return classifier

    def close(self) -> None:
        """End the processes that decode; the classifier must not be used afterwards."""
        if self._decoder_pool is not None:
            self._decoder_pool.close()

    def classify(
        self,
        source: AudioSource,
        *,
        start_s: float = 0.0,
        channel: Channel = None,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
    ) -> Classification:
        """Classify a clip.  See `AudioClassifier.classify`."""
        classification = self.load().classify(
            source,
            start_s=start_s,
            channel=channel,
            top_k=top_k,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            groups=groups,
        )
        for observer in self._observers:
            observer.clip_classified(classification)
        return classification

    def analyze(
        self,
        source: AudioSource,
        *,
        window_s: float,
        hop_s: float,
        hysteresis: Hysteresis,
        channel: Channel = None,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
    ) -> Generator[Window | SoundEvent | AudioWarning, None, None]:
        """Analyze a recording.  See `AudioClassifier.analyze`; errors are raised with the first item."""
        items = self.load().analyze(
            source,
            window_s=window_s,
            hop_s=hop_s,
            hysteresis=hysteresis,
            channel=channel,
            top_k=top_k,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            groups=groups,
        )
        yield from self._observed(items)

    def embed_blocks(
        self, source: AudioSource, *, channel: Channel = None
    ) -> Generator[Embeddings | AudioWarning, None, None]:
        """Embed a recording.  See `AudioClassifier.embed_blocks`; errors are raised with the first item."""
        yield from self._observed(self.load().embed_blocks(source, channel=channel))

    def _observed(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """Yield the items, and report the seconds that were analyzed to the observers at the end."""
        analyzed_s = work_s = 0.0
        try:
            with closing(items):
                begin = time.perf_counter()
                for item in items:
                    work_s += time.perf_counter() - begin
                    if isinstance(item, Window | Embeddings):
                        analyzed_s = item.end_s
                    yield item
                    begin = time.perf_counter()  # without the time that the item was used
                work_s += time.perf_counter() - begin
        finally:
            for observer in self._observers:
                observer.recording_analyzed(analyzed_s)
                observer.stage_ended("analyze", work_s)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Report the time of the block to the observers, as `Observer.stage_ended`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begin
            for observer in self._observers:
                observer.stage_ended(stage, seconds)


def _decoder_pool(settings: Settings) -> DecoderPool:
    # Not every system has the modules that it needs.
    from audio_classifier.service.decoder_pool import DecoderPool

    return DecoderPool(max_idle=settings.max_concurrency)
