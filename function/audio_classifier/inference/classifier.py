"""`AudioClassifier`: a loaded model that classifies recordings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.audio.log_mel import step_log_mel
from audio_classifier.audio.reader import Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES, EVENT_HOP_S, EVENT_WINDOW_S, PATCH_S, TOP_K
from audio_classifier.cpus import available_cpus
from audio_classifier.errors import AudioClassifierError
from audio_classifier.hub.bundles import COMPACT, open_bundle
from audio_classifier.inference.blocks import BlockObserver
from audio_classifier.inference.clip import Classification, PreparedClip
from audio_classifier.inference.decoding import Decoder, LocalDecoder
from audio_classifier.inference.embeddings import Embeddings, embed_blocks, joined, require_embeddings
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.inference.selection import Prediction, Selection
from audio_classifier.inference.sound_events import (
    DEFAULT_HYSTERESIS,
    Hysteresis,
    SoundEvent,
    require_no_gaps,
    with_sound_events,
)
from audio_classifier.inference.thresholds import Thresholds
from audio_classifier.inference.windows import Window, classify_windows
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.label_groups import GroupedLabelSet
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.network import load_network
from audio_classifier.model.ontology import audioset_ontology
from audio_classifier.model.patch_network import PatchNetwork

T = TypeVar("T")


class AudioClassifier:
    """A loaded model.  Any number of threads may share one instance.

    Parameters
    ----------
    bundle
        A verified model bundle.
    threads
        CPUs for the embedding network; None for all that the process may use.
    resampler
        ``"soxr"``, or ``"resampy"`` for the original's numbers at a fraction of the speed.
    decoder
        Decodes recordings; in this process, with ``resampler``, if omitted.
    thresholds
        Minimum probabilities of single classes, which apply to predictions and sound events in addition to
        the threshold for all classes.

    Raises
    ------
    BundleInvalidError
        If the parts of the bundle do not fit together.
    InvalidParameterError, UnknownLabelError
        If the thresholds do not belong to the bundle.

    Examples
    --------
    >>> classifier = AudioClassifier.open("compact")
    >>> [prediction.label for prediction in classifier.predict("assets/speech.wav", top_k=1)]
    ['Speech']
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        resampler: Resampler = "soxr",
        decoder: Decoder | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.bundle = bundle
        self.thresholds = thresholds
        self._threads = threads or available_cpus()
        self._network, self._labels = load_network(bundle, self._threads)
        fields = bundle.manifest.front_end
        self._front_end = VGGISH if fields is None else FrontEnd(**fields.model_dump())
        self._minimums = thresholds.resolve(bundle, self._labels) if thresholds else None
        self._resampler: Resampler = resampler
        self._decoder = decoder or LocalDecoder(resampler)

    @property
    def labels(self) -> LabelSet:
        """The classes of the model."""
        return self._labels

    @cached_property
    def grouped_labels(self) -> GroupedLabelSet:
        """The classes of the model in the groups of AudioSet's ontology, which the first use reads."""
        return GroupedLabelSet(self.labels, audioset_ontology())

    @property
    def front_end(self) -> FrontEnd:
        """The model's input; clips that one model has prepared suit all models with an equal one."""
        return self._front_end

    @property
    def reader_threads(self) -> int:
        """The number of threads for `prepare`: the CPUs that the network does not use, or all of them."""
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

        Remote bundles are kept in ``cache_dir``.  See `hub.bundles.open_bundle`, also for the errors.
        """
        return cls(open_bundle(bundle, cache_dir=cache_dir), threads=threads, resampler=resampler)

    def selection(
        self,
        *,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
    ) -> Selection:
        """Check which predictions to return, once for many recordings.

        With ``groups``, a name in ``labels`` or ``exclude`` also stands for all classes below it in
        AudioSet's ontology, and may be that of a group that is not a class.  See `Selection` for the other
        parameters.
        """
        all_labels = self.grouped_labels if groups else self.labels
        return Selection(
            all_labels,
            top_k=top_k,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            minimums=self._minimums,
        )

    def predict(
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
    ) -> list[Prediction]:
        """Classify the ten seconds from ``start_s`` on.

        Parameters
        ----------
        source
            The bytes of an audio file, its path, or a seekable binary file object.
        start_s
            Seconds into the recording, rounded down to a multiple of 0.96.
        channel
            The channel to classify, from 1 on, or ``"mix"`` for the mean of all.  The default is the mean, or
            the loudest channel if the channels cancel each other out.
        top_k, threshold, labels, exclude, groups
            Which predictions to return; see `selection`.

        Returns
        -------
        The predictions, the most probable first.

        Raises
        ------
        AudioError
            If the recording cannot be used; see `audio.reader.read_window`.
        InvalidParameterError, UnknownLabelError
            If an argument is out of range, or no class has such a name.
        """
        return self.classify(
            source,
            start_s=start_s,
            channel=channel,
            top_k=top_k,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            groups=groups,
        ).predictions

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
        on_block: BlockObserver | None = None,
    ) -> Classification:
        """Classify as `predict` does, and also return the file's header, warnings and the time of each stage.

        ``on_block`` is called with the audio that is classified.
        """
        selection = self.selection(
            top_k=top_k, threshold=threshold, labels=labels, exclude=exclude, groups=groups
        )
        clip = self.prepare(source, start_s=start_s, channel=channel, on_block=on_block)
        return self.classify_prepared([clip], selection)[0]

    def classify_many(
        self,
        sources: Iterable[AudioSource],
        *,
        start_s: float = 0.0,
        channel: Channel = None,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
    ) -> Iterator[Classification | AudioClassifierError | OSError]:
        """Classify any number of recordings: the next ones are decoded while the network runs.

        The arguments are those of `predict`.  Results come in the order of the sources, which are consumed
        as they are needed; an error takes the place of a recording that cannot be used.  Probabilities equal
        those of `predict` except for rounding.  It is fastest with half of the CPUs for the network
        (``threads``).

        Raises
        ------
        InvalidParameterError, UnknownLabelError
            At once, if an argument is out of range, or no class has such a name.
        """
        selection = self.selection(
            top_k=top_k, threshold=threshold, labels=labels, exclude=exclude, groups=groups
        )

        def prepare(source: AudioSource) -> PreparedClip | AudioClassifierError | OSError:
            try:
                return self.prepare(source, start_s=start_s, channel=channel)
            except (AudioClassifierError, OSError) as error:
                return error

        def stream() -> Iterator[Classification | AudioClassifierError | OSError]:
            for batch in prefetched_batches(prepare, sources, threads=self.reader_threads):
                clips = [item for item in batch if isinstance(item, PreparedClip)]
                classifications = iter(self.classify_prepared(clips, selection))
                for item in batch:
                    yield next(classifications) if isinstance(item, PreparedClip) else item

        return stream()

    def prepare(
        self,
        source: AudioSource,
        *,
        start_s: float = 0.0,
        channel: Channel = None,
        on_block: BlockObserver | None = None,
    ) -> PreparedClip:
        """Do the part of `classify` that needs no model, in any number of threads; raise the same errors."""
        return self._decoder.clip(
            source, front_end=self._front_end, start_s=start_s, channel=channel, on_block=on_block
        )

    def classify_prepared(self, clips: Sequence[PreparedClip], selection: Selection) -> list[Classification]:
        """Do the part of `classify` that needs the model, for several clips in one invocation."""
        if not clips:
            return []
        probabilities, total_s = self._network.classify_clips([clip.log_mel for clip in clips])
        ranked = [selection.rank(row) for row in probabilities]
        seconds = {stage: stage_s / len(clips) for stage, stage_s in total_s.items()}
        return [
            Classification(predictions, clip.audio, clip.analyzed_s, clip.seconds | seconds, clip.warnings)
            for clip, predictions in zip(clips, ranked, strict=True)
        ]

    def prepared_probabilities(self, clips: Sequence[PreparedClip]) -> NDArray[np.float32]:
        """Return the ``(clips, classes)`` float32 probabilities of at least one prepared clip."""
        probabilities, _ = self._network.classify_clips([clip.log_mel for clip in clips])
        return np.asarray(probabilities)

    def probabilities(self, source: AudioSource, *, start_s: float = 0.0) -> NDArray[np.float32]:
        """Return the ``(classes,)`` float32 probabilities of the ten seconds from ``start_s`` on."""
        clip = LocalDecoder(self._resampler).clip(source, front_end=self._front_end, start_s=start_s)
        probabilities, _ = self._network.classify_clips([clip.log_mel])
        return np.asarray(probabilities[0])

    def analyze(
        self,
        source: AudioSource,
        *,
        window_s: float = EVENT_WINDOW_S,
        hop_s: float = EVENT_HOP_S,
        hysteresis: Hysteresis | None = DEFAULT_HYSTERESIS,
        channel: Channel = None,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
        on_block: BlockObserver | None = None,
    ) -> Generator[Window | SoundEvent | AudioWarning, None, None]:
        """Read a recording of any length and yield its windows, sound events and warnings, as a stream.

        Memory does not grow with the length of the recording, and every second is decoded and embedded once,
        however much the windows overlap.  A sound event follows the window in which it has ended; warnings
        come last.

        Parameters
        ----------
        source
            As for `predict`.
        window_s, hop_s
            Windows start every ``hop_s`` and last ``window_s`` (at most 9.6 s), both rounded to whole patches
            of 0.96 s; the last window ends with the last whole patch.  Shorter windows give more exact times,
            longer ones more reliable classes.
        hysteresis
            When a class counts as present; None for no sound events, and then the hop may be longer than the
            window.
        channel
            As for `predict`.
        top_k, threshold, labels, exclude, groups
            Which predictions a window has; see `selection`.  Sound events do not depend on ``top_k`` and
            ``threshold``.
        on_block
            Called with each block of audio before the windows that end in it, from the beginning of the
            recording to the end of its last whole patch, without gaps.

        Raises
        ------
        InvalidParameterError, UnknownLabelError
            At once, if an argument is out of range, or no class has such a name.
        AudioError
            If the recording cannot be used, when the stream reaches the fault.
        """
        selection = self.selection(
            top_k=top_k, threshold=threshold, labels=labels, exclude=exclude, groups=groups
        )
        if hysteresis is not None:
            require_no_gaps(window_s, hop_s)
        windows = classify_windows(
            self._decoder.blocks(source, front_end=self._front_end, channel=channel),
            self._network,
            selection,
            window_s=window_s,
            hop_s=hop_s,
            on_block=on_block,
        )
        if hysteresis is None:
            return windows
        return with_sound_events(windows, selection.classes, hysteresis, self._minimums)

    def timeline(
        self,
        source: AudioSource,
        *,
        window_s: float = CLIP_PATCHES * PATCH_S,
        hop_s: float = CLIP_PATCHES * PATCH_S,
        channel: Channel = None,
        top_k: int | None = TOP_K,
        threshold: float | None = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
        on_block: BlockObserver | None = None,
    ) -> Iterator[Window]:
        """Yield the windows of `analyze`, but no warnings; raise the same errors.

        By default windows last ten seconds.
        """
        stream = self.analyze(
            source,
            window_s=window_s,
            hop_s=hop_s,
            hysteresis=None,
            channel=channel,
            top_k=top_k,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            groups=groups,
            on_block=on_block,
        )
        return _only(Window, stream)

    def events(
        self,
        source: AudioSource,
        *,
        window_s: float = EVENT_WINDOW_S,
        hop_s: float = EVENT_HOP_S,
        hysteresis: Hysteresis | None = None,
        channel: Channel = None,
        labels: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        groups: bool = False,
    ) -> Iterator[SoundEvent]:
        """Yield the sound events of `analyze`, but no warnings; raise the same errors.

        ``hysteresis`` is the default one if omitted.
        """
        stream = self.analyze(
            source,
            window_s=window_s,
            hop_s=hop_s,
            hysteresis=hysteresis or DEFAULT_HYSTERESIS,
            channel=channel,
            top_k=1,
            labels=labels,
            exclude=exclude,
            groups=groups,
        )
        return _only(SoundEvent, stream)

    def codes(self, samples: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Compute the 8-bit codes ``(patches, 128)`` of 16 kHz mono samples ``(n >= 15,600,)``.

        Raises
        ------
        NoEmbeddingError
            If the model computes none.
        """
        return self._patch_network().encode(step_log_mel(samples))

    def embed(self, source: AudioSource, *, channel: Channel = None) -> Embeddings:
        """Return the embeddings of a whole recording, one for each patch of 0.96 s.

        They are the 8-bit codes from which the model's heads compute classes, and take 0.5 MB for an hour.

        Parameters
        ----------
        source, channel
            As for `predict`.

        Returns
        -------
        `Embeddings` with ``start_s`` (patches,), ``codes`` (patches, 128) uint8, and ``values``, the same as
        float32 from -1 to 1.  An incomplete patch at the end is omitted; a recording shorter than one is
        repeated until it fills it.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        NoEmbeddingError
            If the model computes no embeddings.

        Examples
        --------
        >>> AudioClassifier.open("compact").embed("assets/speech.wav").values.shape
        (9, 128)
        """
        return joined([*_only(Embeddings, self.embed_blocks(source, channel=channel))])

    def embed_blocks(
        self, source: AudioSource, *, channel: Channel = None
    ) -> Generator[Embeddings | AudioWarning, None, None]:
        """Yield the embeddings of `embed` in blocks of up to ten patches, then warnings, as a stream.

        Memory does not grow with the length of the recording.

        Raises
        ------
        NoEmbeddingError
            At once, if the model computes no embeddings.
        AudioError
            If the recording cannot be used, when the stream reaches the fault.
        """
        network = self._patch_network()
        blocks = self._decoder.blocks(source, front_end=self._front_end, channel=channel)
        return embed_blocks(blocks, network)

    def require_embeddings(self) -> None:
        """Raise `NoEmbeddingError` if the model computes no embeddings."""
        self._patch_network()

    def _patch_network(self) -> PatchNetwork:
        return require_embeddings(self._network, self.bundle.manifest.name)

    @property
    def readers(self) -> int:
        """The former name of `reader_threads`, until version 0.3."""
        warnings.warn("readers is now reader_threads", DeprecationWarning, stacklevel=2)
        return self.reader_threads

    def listen(
        self, source: AudioSource, *, window_s: float, hop_s: float, watch: BlockObserver | None = None
    ) -> Iterator[Window]:
        """Do what `timeline` does; its former name for observers, until version 0.3."""
        warnings.warn("listen(watch=...) is now timeline(on_block=...)", DeprecationWarning, stacklevel=2)
        return self.timeline(source, window_s=window_s, hop_s=hop_s, on_block=watch)


def _only(kind: type[T], stream: Generator[object, None, None]) -> Iterator[T]:
    with closing(stream):
        for item in stream:
            if isinstance(item, kind):
                yield item
