"""The pipeline: a sound in, the most likely classes out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier import listening
from audio_classifier.attention import AttentionHead
from audio_classifier.audio import AudioReader, Resampler, read_window
from audio_classifier.bundle import EMBEDDING, HEAD, LABELS, POSTPROCESS, Bundle
from audio_classifier.bundle_store import COMPACT, open_bundle
from audio_classifier.cpus import available_cpus
from audio_classifier.decoding import AudioInfo
from audio_classifier.embedding import Embedder
from audio_classifier.errors import AudioClassifierError, BundleInvalidError
from audio_classifier.features import Block, Watch, log_mel_patches
from audio_classifier.guarded_file import AudioSource
from audio_classifier.labels import LabelSet
from audio_classifier.params import (
    CLIP_PATCHES,
    EVENT_HOP_S,
    EVENT_WINDOW_S,
    PATCH_S,
    SAMPLE_RATE_HZ,
    TOP_K,
)
from audio_classifier.pipeline import batches_ahead
from audio_classifier.postprocess import Postprocessor, dequantize
from audio_classifier.selection import Prediction, Selection
from audio_classifier.timeline import (
    Event,
    EventTracker,
    Heard,
    Hysteresis,
    TimelineWindow,
    require_no_gaps,
)


@dataclass(frozen=True, slots=True)
class Classification:
    """What is heard in ten seconds of a clip, and what it took to find out.

    Attributes
    ----------
    predictions
        The most probable first.
    audio
        What the file's header says of itself.
    heard_s
        How many seconds of the clip were listened to.
    seconds
        Time spent in each stage: ``read``, ``features``, ``embedding``, ``head``.
    """

    predictions: list[Prediction]
    audio: AudioInfo
    heard_s: float
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ten seconds of a clip, decoded, as the model will hear them.

    Attributes
    ----------
    patches
        ``(1..10, 96, 64)`` float32, log-mel.
    audio
        What the file's header says of itself.
    seconds
        Time spent in each stage: ``read``, ``features``.
    """

    patches: NDArray[np.float32]
    audio: AudioInfo
    seconds: dict[str, float]

    @property
    def heard_s(self) -> float:
        """Seconds of the clip that count."""
        return min(len(self.patches) * PATCH_S, self.audio.duration_s or math.inf)


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
        self.labels = LabelSet.read(bundle.path(LABELS))
        self._embedder = Embedder(bundle.path(EMBEDDING), threads=threads or available_cpus())
        self._postprocessor = Postprocessor.from_arrays(bundle.arrays(POSTPROCESS))
        self._head = AttentionHead.from_arrays(bundle.arrays(HEAD))
        self._resampler = resampler
        if self._head.classes != len(self.labels):
            raise BundleInvalidError(
                f"the head tells {self._head.classes} classes apart, {len(self.labels)} have labels"
            )

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

        for batch in batches_ahead(prepare, sources, threads=available_cpus()):
            prepared = [one for one in batch if isinstance(one, Prepared)]
            heard = iter(self.classify_prepared(prepared, selection))
            yield from (next(heard) if isinstance(one, Prepared) else one for one in batch)

    def prepare(self, source: AudioSource, *, start_s: float = 0.0, watch: Watch | None = None) -> Prepared:
        """The part of `classify` that needs no model, for any number of threads; raises the same errors."""
        begin = time.perf_counter()
        with AudioReader(source, resampler=self._resampler) as reader:
            samples = reader.window(start_s, CLIP_PATCHES)
        read = time.perf_counter()
        patches = log_mel_patches(samples)
        if watch is not None:
            begin_s = reader.first_sample(start_s) / SAMPLE_RATE_HZ
            watch(Block(begin_s, samples[: reader.info.samples], patches))
        seconds = {"read": read - begin, "features": time.perf_counter() - read}
        return Prepared(patches, reader.info, seconds)

    def classify_prepared(self, clips: Sequence[Prepared], selection: Selection) -> list[Classification]:
        """The part that does, for several clips in one invocation of the network."""
        if not clips:
            return []
        begin = time.perf_counter()
        embeddings = self._embedder.embed(np.concatenate([clip.patches for clip in clips]))
        embedded = time.perf_counter()
        ends = np.cumsum([len(clip.patches) for clip in clips])
        codes = map(self._postprocessor.quantize, np.split(embeddings, ends[:-1]))
        probabilities = self._classify(np.stack([*map(_repeated, codes)]))
        ranked = [*map(selection.rank, probabilities)]
        times = {"embedding": embedded - begin, "head": time.perf_counter() - embedded}
        own = {stage: seconds / len(clips) for stage, seconds in times.items()}
        return [
            Classification(predictions, clip.audio, clip.heard_s, clip.seconds | own)
            for clip, predictions in zip(clips, ranked, strict=True)
        ]

    def probabilities(self, source: AudioSource, *, start_s: float = 0.0) -> NDArray[np.float32]:
        """Probability of every class in the ten seconds from ``start_s`` on: ``(classes,)`` float32."""
        samples = read_window(source, start_s=start_s, patches=CLIP_PATCHES, resampler=self._resampler)
        return self._classify(self.codes(samples))

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
            code=self._code,
            classify=self._classify,
            resampler=self._resampler,
            watch=watch,
        )

    def codes(self, samples: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The 8-bit codes ``(patches, 128)`` of 16 kHz mono samples ``(n >= 15,600,)``."""
        return self._code(log_mel_patches(samples))

    def _code(self, patches: NDArray[np.float32]) -> NDArray[np.uint8]:
        return self._postprocessor.quantize(self._embedder.embed(patches))

    def _classify(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(..., 1..10, 128)`` codes -> ``(..., classes)``."""
        return self._head(dequantize(_repeated(codes)))


def _repeated(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(..., 1..10, 128)`` codes, repeated to ten (IBM ``core/model.py``)."""
    return codes[..., np.arange(CLIP_PATCHES) % codes.shape[-2], :]
