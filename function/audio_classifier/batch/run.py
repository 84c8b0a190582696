"""Any number of sounds through one classifier: the next are read while the model hears the last.

Where results are stored, each is stored before the next is begun to be heard, and what is stored already is
not done again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from audio_classifier.audio.log_mel import Watch
from audio_classifier.batch.inputs import Sound
from audio_classifier.batch.stores import ResultStore
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    OutputError,
    PlaceTakenError,
    TransferError,
)
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.clip import Classification, Prepared
from audio_classifier.inference.prefetch import batches_ahead
from audio_classifier.inference.record import Result, answer_of, failure_of, model_of
from audio_classifier.inference.selection import Selection


@dataclass(slots=True)
class Answered:
    """What became of one sound.

    Attributes
    ----------
    classification
        What is heard, unless there is an error, or it is stored already.
    error
        Why nothing can be heard.
    there
        Whether its result was stored before.
    """

    sound: Sound
    classification: Classification | None = None
    error: AudioClassifierError | OSError | None = None
    there: bool = False
    prepared: Prepared | None = None
    result: Result = field(default_factory=dict)


def classify_sounds(
    classifier: AudioClassifier,
    sounds: Iterable[Sound],
    selection: Selection,
    parameters: dict[str, Any],
    *,
    threads: int,
    store: ResultStore | None = None,
    watch: Watch | None = None,
) -> Generator[Answered, None, None]:
    """Classify sounds, in their order, and store what is heard, if there is a store.

    Parameters
    ----------
    parameters
        As results name them; ``start_time`` (seconds) is where to begin.
    threads
        How many sounds are read at the same time.
    watch
        See `AudioClassifier.classify`; called in those threads.

    Raises
    ------
    OutputError
        If a result cannot be stored.
    InvalidParameterError, TransferError
        See `sources.find_sounds`.
    """
    common = {"model": model_of(classifier.bundle), "parameters": parameters}

    def read(sound: Sound) -> Answered:
        heard = Answered(sound)
        try:
            with sound.opened() as source:
                if store:
                    heard.result = {"source": sound.facts(source), **common}
                    heard.there = store.has(sound.place, heard.result)
                if not heard.there:
                    start_s = parameters["start_time"]
                    heard.prepared = classifier.prepare(source, start_s=start_s, watch=watch)
        except (AudioError, PlaceTakenError, TransferError, OSError) as error:
            heard.error, heard.prepared, heard.there = error, None, False
        return heard

    for batch in batches_ahead(read, sounds, threads=threads):
        waiting = [(heard, heard.prepared) for heard in batch if heard.prepared]
        classified = classifier.classify_prepared([prepared for _, prepared in waiting], selection)
        for (heard, _), classification in zip(waiting, classified, strict=True):
            heard.classification, heard.prepared = classification, None
        for heard in batch:
            if store and not heard.there:
                _store(store, heard)
            yield heard


def _store(store: ResultStore, heard: Answered) -> None:
    """Store what can never be otherwise; an error that may pass is not."""
    if heard.classification:
        answer = answer_of(heard.classification)
    elif isinstance(heard.error, AudioError):
        answer = failure_of(heard.error)
    else:
        return
    try:
        heard.there = not store.write(heard.sound.place, answer | heard.result)
    except PlaceTakenError as error:
        heard.error = error
    except (TransferError, OSError) as error:
        raise OutputError(f"the result of {heard.sound.name} cannot be stored: {error}") from error
