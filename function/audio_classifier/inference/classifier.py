"""The pipeline: a sound in, the most likely classes out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import Watch, log_mel_patches
from audio_classifier.audio.reader import Resampler, read_window
from audio_classifier.audio.source import AudioSource
from audio_classifier.constants import CLIP_PATCHES, EVENT_HOP_S, EVENT_WINDOW_S, PATCH_S, TOP_K
from audio_classifier.cpus import available_cpus
from audio_classifier.errors import AudioClassifierError
from audio_classifier.hub.bundles import COMPACT, open_bundle
from audio_classifier.inference import windows as listening
from audio_classifier.inference.clip import Classification, Prepared, prepare_clip
from audio_classifier.inference.prefetch import batches_ahead
from audio_classifier.inference.selection import Prediction, Selection
from audio_classifier.inference.sound_events import (
    Event,
    EventTracker,
    Heard,
    Hysteresis,
    TimelineWindow,
    require_no_gaps,
)
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.network import Network, repeated


class AudioClassifier:
    """A loaded model.  One instance may be shared by any number of threads.

    Parameters
    ----------
    bundle
        A verified model bundle.
    threads
        CPUs for the embedding network; None for all that the process may use.
    resampler
        ``"soxr"``, or ``"resampy"`` for the original's numbers at a fraction of the speed.

    Raises
    ------
    BundleInvalidError
        If the bundle's parts do not fit each other.

    Examples
    --------
    >>> classifier = AudioClassifier.open("compact")
    >>> [prediction.label for prediction in classifier.predict("assets/speech.wav", top_k=1)]
    ['Speech']
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, resampler: Resampler = "soxr") -> None:
        self.bundle = bundle
        self._threads = threads or available_cpus()
        self._network = Network(bundle, self._threads)
        self._resampler = resampler

    @property
    def labels(self) -> LabelSet:
        """The classes that it tells apart."""
        return self._network.labels

    @property
    def readers(self) -> int:
        """Threads to `prepare` sounds in: the CPUs that the network leaves, or all, by turns."""
        cpus = available_cpus()
        return max(0, cpus - self._threads) or cpus

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] = COMPACT,
        *,
        threads: int | None = None,
        resampler: Resampler = "soxr",
        cache_dir: Path | None = None,
    ) -> Self:
        """Load a bundle: ``"compact"`` (built in), a directory, ``https://...`` or ``s3://bucket/prefix/``.

        ``cache_dir`` is where remote bundles are kept; see `bundle_store.open_bundle`, also for the errors.
        """
        return cls(open_bundle(bundle, cache_dir=cache_dir), threads=threads, resampler=resampler)

    def predict(
        self,
        source: AudioSource,
        *,
        start_s: float = 0.0,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
    ) -> list[Prediction]:
        """Classify the ten seconds from ``start_s`` on.

        Parameters
        ----------
        source
            The bytes of a sound file, its path, or a binary file object that can seek.
        start_s
            Seconds into the clip, rounded down to a multiple of 0.96.
        top_k, threshold, labels
            Which classes to give; see `Selection`.

        Returns
        -------
        The most probable first.

        Raises
        ------
        AudioError
            If the sound cannot be used; see `audio.read_window`.
        InvalidParameterError, UnknownLabelError
            If an argument is out of its range, or no class has such a name.
        """
        selection = Selection(self.labels, top_k=top_k, threshold=threshold, labels=labels)
        return self.classify(source, selection, start_s=start_s).predictions

    def classify(
        self, source: AudioSource, selection: Selection, *, start_s: float = 0.0, watch: Watch | None = None
    ) -> Classification:
        """As `predict`, with what the file is and how long each stage took; raises the same errors.

        ``watch`` is called with what is heard.
        """
        return self.classify_prepared([self.prepare(source, start_s=start_s, watch=watch)], selection)[0]

    def classify_many(
        self, sources: Iterable[AudioSource], selection: Selection, *, start_s: float = 0.0
    ) -> Iterator[Classification | AudioClassifierError | OSError]:
        """As `classify`, of any number of sounds: the next are decoded while the model hears the last.

        An error takes the place of a sound that cannot be used.  All are in the order of the sources, which
        are taken as they are needed, and the numbers are those of `classify` but for rounding.  It is fastest
        if the network has half of the CPUs; see ``threads``.
        """

        def prepare(source: AudioSource) -> Prepared | AudioClassifierError | OSError:
            try:
                return self.prepare(source, start_s=start_s)
            except (AudioClassifierError, OSError) as error:
                return error

        for batch in batches_ahead(prepare, sources, threads=self.readers):
            prepared = [one for one in batch if isinstance(one, Prepared)]
            heard = iter(self.classify_prepared(prepared, selection))
            yield from (next(heard) if isinstance(one, Prepared) else one for one in batch)

    def prepare(self, source: AudioSource, *, start_s: float = 0.0, watch: Watch | None = None) -> Prepared:
        """The part of `classify` that needs no model, for any number of threads; raises the same errors."""
        return prepare_clip(source, start_s=start_s, resampler=self._resampler, watch=watch)

    def classify_prepared(self, clips: Sequence[Prepared], selection: Selection) -> list[Classification]:
        """The part that does, for several clips in one invocation of the network."""
        if not clips:
            return []
        begin = time.perf_counter()
        embeddings = self._network.embedder.embed(np.concatenate([clip.patches for clip in clips]))
        embedded = time.perf_counter()
        ends = np.cumsum([len(clip.patches) for clip in clips])
        codes = map(self._network.quantize, np.split(embeddings, ends[:-1]))
        probabilities = self._network.classify(np.stack([*map(repeated, codes)]))
        ranked = [*map(selection.rank, probabilities)]
        times = {"embedding": embedded - begin, "head": time.perf_counter() - embedded}
        own = {stage: seconds / len(clips) for stage, seconds in times.items()}
        return [
            Classification(predictions, one.audio, one.heard_s, one.seconds | own)
            for one, predictions in zip(clips, ranked, strict=True)
        ]

    def probabilities(self, source: AudioSource, *, start_s: float = 0.0) -> NDArray[np.float32]:
        """Probability of every class in the ten seconds from ``start_s`` on: ``(classes,)`` float32."""
        samples = read_window(source, start_s=start_s, patches=CLIP_PATCHES, resampler=self._resampler)
        return self._network.classify(self.codes(samples))

    def timeline(
        self,
        source: AudioSource,
        *,
        window_s: float = CLIP_PATCHES * PATCH_S,
        hop_s: float = CLIP_PATCHES * PATCH_S,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
    ) -> Iterator[TimelineWindow]:
        """Classify a whole recording window by window, as a stream: memory does not grow with its length.

        Windows start every ``hop_s`` and last ``window_s`` (up to 9.6 s), both rounded to whole patches of
        0.96 s; every second is decoded and embedded once, however much windows overlap.  The last window
        ends with the last whole patch.  Other arguments and errors are those of `predict`; errors in the
        sound are raised when the stream gets there.
        """
        selection = Selection(self.labels, top_k=top_k, threshold=threshold, labels=labels)
        return (
            TimelineWindow(heard.start_s, heard.end_s, selection.rank(heard.probabilities))
            for heard in self.listen(source, window_s=window_s, hop_s=hop_s)
        )

    def events(
        self,
        source: AudioSource,
        *,
        window_s: float = EVENT_WINDOW_S,
        hop_s: float = EVENT_HOP_S,
        hysteresis: Hysteresis | None = None,
        labels: Iterable[str] | None = None,
    ) -> Iterator[Event]:
        """What is heard in a recording, and from when to when, as a stream: each event when it has ended.

        Parameters
        ----------
        window_s, hop_s
            As of `timeline`; the hop is not longer than the window.  Shorter windows tell times better,
            longer ones tell classes better.
        hysteresis
            When a class counts as heard; None for the usual.
        labels
            Look for these classes only (names or ids, any case); None for all.

        Raises
        ------
        InvalidParameterError, UnknownLabelError
            If an argument is out of its range, or no class has such a name; at once.
        AudioError
            If the sound cannot be used, when the stream gets there.
        """
        require_no_gaps(window_s, hop_s)
        tracker = EventTracker(Selection(self.labels, labels=labels).classes, hysteresis or Hysteresis())
        windows = self.listen(source, window_s=window_s, hop_s=hop_s)

        def stream() -> Iterator[Event]:
            for window in windows:
                yield from tracker.add(window)
            yield from tracker.finish()

        return stream()

    def listen(
        self, source: AudioSource, *, window_s: float, hop_s: float, watch: Watch | None = None
    ) -> Iterator[Heard]:
        """What `timeline` and `events` are made of, as a stream; arguments and errors are theirs.

        ``watch`` is called with each block that is heard, before the windows that end in it: from the
        beginning to the end of the last whole patch, without a gap.
        """
        return listening.listen(
            source,
            window_s=window_s,
            hop_s=hop_s,
            code=self._network.code,
            classify=self._network.classify,
            resampler=self._resampler,
            watch=watch,
        )

    def codes(self, samples: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The 8-bit codes ``(patches, 128)`` of 16 kHz mono samples ``(n >= 15,600,)``."""
        return self._network.code(log_mel_patches(samples))
