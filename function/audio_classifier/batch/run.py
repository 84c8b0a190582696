"""Classify any number of inputs: the next ones are read while the network runs.

If there is a store, each result is passed to it before it is yielded, and inputs whose results are stored
already are not classified again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from audio_classifier.audio.channels import Channel
from audio_classifier.batch.inputs import AudioInput, FoundInput, UnusableInput
from audio_classifier.batch.stores import ResultStore
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    OutputError,
    ResultConflictError,
    TransferError,
)
from audio_classifier.inference.blocks import BlockObserver
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.clip import Classification, PreparedClip
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.inference.record import (
    Result,
    Status,
    classification_record,
    error_record,
    model_record,
)
from audio_classifier.inference.selection import Selection


@dataclass(frozen=True, slots=True)
class Classified:
    """The input was classified."""

    name: str
    classification: Classification


@dataclass(frozen=True, slots=True)
class AlreadyStored:
    """The result of the input was stored before: predictions, or the error of a permanent failure."""

    name: str
    status: Status


@dataclass(frozen=True, slots=True)
class Failed:
    """The input cannot be classified, or its result cannot be stored."""

    name: str
    error: AudioClassifierError | OSError


Outcome: TypeAlias = Classified | AlreadyStored | Failed


@dataclass(frozen=True, slots=True)
class _Clip:
    """An input that was read, and what identifies its result, if there is a store."""

    audio_input: AudioInput
    clip: PreparedClip
    identity: Result | None


@dataclass(frozen=True, slots=True)
class _NotAudio:
    """An input that is permanently unusable, and what identifies its result."""

    audio_input: AudioInput
    error: AudioError
    identity: Result | None


_Read: TypeAlias = _Clip | _NotAudio | AlreadyStored | Failed


def classify_inputs(
    classifier: AudioClassifier,
    inputs: Iterable[FoundInput],
    selection: Selection,
    parameters: dict[str, Any],
    *,
    start_s: float,
    channel: Channel = None,
    threads: int,
    store: ResultStore | None = None,
    on_block: BlockObserver | None = None,
) -> Generator[Outcome, None, None]:
    """Classify inputs in their order, and store the results if there is a store.

    Parameters
    ----------
    parameters
        The parameters, which results list and which identify them.
    start_s
        Where the clips begin.
    channel
        See `AudioClassifier.predict`.
    threads
        How many inputs are read at the same time.
    on_block
        See `AudioClassifier.classify`; called in those threads.

    Raises
    ------
    OutputError
        If a result cannot be stored.
    InvalidParameterError, TransferError
        See `find_inputs`.
    """
    common = {"model": model_record(classifier.bundle, classifier.thresholds), "parameters": parameters}

    def read(found: FoundInput) -> _Read:
        if isinstance(found, UnusableInput):
            return Failed(found.name, found.error)
        identity: Result | None = None
        try:
            with found.open() as source:
                if store:
                    identity = {"source": found.identify(source), **common}
                    if status := store.find(found.result_key, identity):
                        return AlreadyStored(found.name, status)
                clip = classifier.prepare(source, start_s=start_s, channel=channel, on_block=on_block)
        except AudioError as error:
            return _NotAudio(found, error, identity)
        except (ResultConflictError, TransferError, OSError) as error:
            return Failed(found.name, error)
        return _Clip(found, clip, identity)

    for batch in prefetched_batches(read, inputs, threads=threads):
        clips = [item.clip for item in batch if isinstance(item, _Clip)]
        classifications = iter(classifier.classify_prepared(clips, selection))
        for item in batch:
            if isinstance(item, _Clip):
                yield _classified(item, next(classifications), store)
            elif isinstance(item, _NotAudio):
                yield _not_audio(item, store)
            else:
                yield item


def _classified(item: _Clip, classification: Classification, store: ResultStore | None) -> Outcome:
    name = item.audio_input.name
    if store and item.identity:
        result = classification_record(classification) | item.identity
        try:
            if not _write(store, item.audio_input, result):
                return AlreadyStored(name, "ok")
        except ResultConflictError as error:
            return Failed(name, error)
    return Classified(name, classification)


def _not_audio(item: _NotAudio, store: ResultStore | None) -> Outcome:
    name = item.audio_input.name
    if store and item.identity:
        try:
            _write(store, item.audio_input, error_record(item.error) | item.identity)
        except ResultConflictError as error:
            return Failed(name, error)
    return Failed(name, item.error)


def _write(store: ResultStore, audio_input: AudioInput, result: Result) -> bool:
    """Store a result; False if it was stored in the meantime."""
    try:
        return store.write(audio_input.result_key, result)
    except (TransferError, OSError) as error:
        raise OutputError(f"the result of {audio_input.name} cannot be stored: {error}") from error
