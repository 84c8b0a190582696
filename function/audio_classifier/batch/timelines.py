"""Find the sound events of any number of recordings, several of them at the same time.

If there is a store, each result is passed to it before it is yielded, and recordings whose results are stored
already are not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeAlias

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.batch.clock_times import recorded_at
from audio_classifier.batch.inputs import AudioInput, FoundInput, UnusableInput, path_of_key
from audio_classifier.batch.run import AlreadyStored, Failed
from audio_classifier.batch.stores import ResultStore
from audio_classifier.errors import (
    AudioError,
    OutputError,
    ResultConflictError,
    TransferError,
)
from audio_classifier.inference.blocks import BlockObserver
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.inference.record import Result, error_record, model_record, warnings_record
from audio_classifier.inference.sound_events import Hysteresis, SoundEvent, by_start
from audio_classifier.inference.windows import Window
from audio_classifier.s3.objects import S3File

RESULT_SUFFIX: Final = ".events"  # so that results of timelines and of clips can have the same folder


@dataclass(frozen=True, slots=True)
class TimelineOptions:
    """What `AudioClassifier.analyze` computes; see there."""

    window_s: float
    hop_s: float
    hysteresis: Hysteresis
    channel: Channel = None
    labels: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    groups: bool = False


@dataclass(frozen=True, slots=True)
class Analyzed:
    """The recording was read, to its end or to a fault.

    Attributes
    ----------
    name
        The name of the input.
    events
        The sound events, by their start.
    warnings
        The warnings of the recording.
    analyzed_s
        How much of the recording was read.
    error
        The fault that ended the reading; None if there was none.
    """

    name: str
    events: list[SoundEvent]
    warnings: list[AudioWarning]
    analyzed_s: float
    error: AudioError | None = None

    @property
    def is_unusable(self) -> bool:
        """Whether nothing of the recording could be read."""
        return self.error is not None and self.analyzed_s == 0

    def record(self) -> dict[str, Any]:
        """Return the events, the warnings and the fault as JSON represents them."""
        start = recorded_at(self.name)
        events = [
            {**asdict(event), **({"time": start.after(event.start_s)} if start else {})}
            for event in self.events
        ]
        outcome = error_record(self.error) if self.error else {"status": "ok"}
        return {**outcome, "events": events, **warnings_record(self.warnings)}


def stored_timeline(result: Result) -> Analyzed:
    """Return the sound events of a stored result of a recording."""
    names = [field.name for field in fields(SoundEvent)]
    events = [SoundEvent(*(event[name] for name in names)) for event in result["events"]]
    source = result["source"]
    name = path_of_key(source["file"]) if "file" in source else source.get("key") or source["url"]
    return Analyzed(name, events, [], 0.0)


TimelineOutcome: TypeAlias = Analyzed | AlreadyStored | Failed
AnalyzedObserver: TypeAlias = Callable[[AudioInput, AudioSource, Analyzed], None]


def analyze_inputs(
    classifier: AudioClassifier,
    inputs: Iterable[FoundInput],
    options: TimelineOptions,
    parameters: dict[str, Any],
    *,
    threads: int,
    store: ResultStore | None = None,
    on_block: BlockObserver | None = None,
    on_analyzed: AnalyzedObserver | None = None,
) -> Generator[TimelineOutcome, None, None]:
    """Find the sound events of recordings in ``threads`` threads, and yield the outcomes in their order.

    Parameters
    ----------
    parameters
        The parameters, which results list and which identify them.
    on_block
        See `AudioClassifier.analyze`; called in those threads.
    on_analyzed
        Called in those threads while the recording is still open.

    Raises
    ------
    OutputError
        If a result cannot be stored.
    InvalidParameterError, TransferError
        See `find_inputs`.
    """
    common = {"model": model_record(classifier.bundle, classifier.thresholds), "parameters": parameters}
    stopped = threading.Event()

    def observe(block: Any) -> None:
        if stopped.is_set():  # nobody waits for the outcome
            raise OutputError("the run has ended")
        if on_block:
            on_block(block)

    def analyze(found: FoundInput) -> tuple[FoundInput, Result | None, TimelineOutcome]:
        if isinstance(found, UnusableInput):
            return found, None, Failed(found.name, found.error)
        identity: Result | None = None
        try:
            with found.open() as source:
                if isinstance(source, S3File):
                    source.allow_whole_object()
                if store:
                    identity = {"source": found.identify(source), **common}
                    if status := store.find(found.result_key + RESULT_SUFFIX, identity):
                        return found, None, AlreadyStored(found.name, status)
                analyzed = _analyzed(found.name, classifier, source, options, observe)
                if on_analyzed:
                    on_analyzed(found, source, analyzed)
                return found, identity, analyzed
        except (AudioError, ResultConflictError, TransferError, OSError) as error:
            return found, None, Failed(found.name, error)

    batches = prefetched_batches(analyze, inputs, threads=threads, max_batch=threads)
    try:
        with closing(batches):
            for batch in batches:
                for found, identity, outcome in batch:
                    yield _stored(store, found, identity, outcome)
    finally:
        stopped.set()


def _analyzed(
    name: str,
    classifier: AudioClassifier,
    source: AudioSource,
    options: TimelineOptions,
    on_block: BlockObserver,
) -> Analyzed:
    events: list[SoundEvent] = []
    warnings: list[AudioWarning] = []
    analyzed_s, fault = 0.0, None
    stream = classifier.analyze(
        source,
        window_s=options.window_s,
        hop_s=options.hop_s,
        hysteresis=options.hysteresis,
        channel=options.channel,
        top_k=1,
        labels=options.labels,
        exclude=options.exclude,
        groups=options.groups,
        on_block=on_block,
    )
    try:
        with closing(stream):
            for item in stream:
                if isinstance(item, SoundEvent):
                    events.append(item)
                elif isinstance(item, Window):
                    analyzed_s = item.end_s
                else:
                    warnings.append(item)
    except AudioError as error:
        fault = error
    return Analyzed(name, sorted(events, key=by_start), warnings, analyzed_s, fault)


def _stored(
    store: ResultStore | None, found: FoundInput, identity: Result | None, outcome: TimelineOutcome
) -> TimelineOutcome:
    """Store the result of a recording that was read, and return its outcome."""
    if not (store and identity and isinstance(outcome, Analyzed)):
        return outcome
    assert not isinstance(found, UnusableInput)
    try:
        written = store.write(found.result_key + RESULT_SUFFIX, outcome.record() | identity)
    except ResultConflictError as error:
        return Failed(found.name, error)
    except (TransferError, OSError) as error:
        raise OutputError(f"the result of {found.name} cannot be stored: {error}") from error
    return outcome if written else AlreadyStored(found.name, "error" if outcome.error else "ok")
