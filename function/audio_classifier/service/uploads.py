"""Classify objects in S3 and store their results.

Events may be delivered more than once, concurrently or late: the same object and the same model give the
same result at the same location, and an object that has a result is not processed again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias

from audio_classifier.constants import EVENT_HOP_S, EVENT_THRESHOLD, EVENT_WINDOW_S
from audio_classifier.errors import AudioError, RemoteNotFoundError
from audio_classifier.inference.record import (
    WRITTEN_BY,
    Result,
    classification_record,
    error_record,
    is_result,
    model_record,
)
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.object_results import (
    ObjectResults,
    Stored,
    Unchanged,
    error_message,
)
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.predict import collect_timeline, timeline
from audio_classifier.service.result_order import is_newer, is_same_state
from audio_classifier.service.shared_classifier import SharedClassifier

TIMELINE_PARAMETERS: Final = PredictParameters.model_validate(
    {"timeline": True, "window": EVENT_WINDOW_S, "hop": EVENT_HOP_S, "threshold": EVENT_THRESHOLD}
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Skipped:
    """The object is a folder or a result, which are not classified."""

    state: ClassVar[str] = "skipped"
    error: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.state


Outcome: TypeAlias = Stored | Unchanged | Skipped


class Uploads:
    """Processes objects with a shared classifier.

    Attributes
    ----------
    access, results
        How objects are opened, and where their results are stored.
    """

    def __init__(self, shared: SharedClassifier) -> None:
        self._shared = shared
        self.settings = shared.settings
        self.access = ObjectAccess(shared.settings)
        self.results = ObjectResults(self.access, shared.settings)

    def process(self, location: S3Location, cancellation: Cancellation | None = None) -> Outcome:
        """Classify an object and store the result, unless it is stored already.

        A permanent failure (not audio, does not exist, too large) is stored as a result that reports it.

        Raises
        ------
        TransferError, BundleError, DeadlineExceededError
            If a later attempt may succeed; nothing is stored then.
        """
        cancellation = cancellation or Cancellation()
        cancellation.check()
        if location.key.endswith("/") or self.results.is_below_results(location):
            return Skipped()
        begin = time.perf_counter()
        model = model_record(self._shared.load().bundle)
        result_location = self.results.location(location)
        try:
            file = self.access.open(location, check=cancellation.check)
        except RemoteNotFoundError as error:
            return self._store_missing(location, result_location, error, model, begin)
        if WRITTEN_BY in file.metadata:
            return Skipped()
        source = file.identity()
        if location.sequencer:
            source["sequencer"] = location.sequencer
        is_final = partial(_is_final, source=source, model=model, is_current=self.access.is_current)
        existing = self.results.find(result_location)
        if existing is not None and is_final(existing.document):
            return Unchanged(result_location, error_message(existing.document))
        try:
            record = self._classify(file, cancellation)
        except (AudioError, RemoteNotFoundError) as error:
            record = error_record(error)
        result = _result(record, source, model, begin)
        return self.results.store(result_location, result, existing=existing, is_final=is_final)

    def process_all(
        self, locations: Iterable[S3Location], cancellation: Cancellation | None = None
    ) -> list[str]:
        """Process every object, then raise the first error, so that the event is delivered again."""
        outcomes: list[str] = []
        failures: list[Exception] = []
        for location in locations:
            try:
                outcomes.append(str(self.process(location, cancellation)))
            except Exception as error:  # noqa: BLE001  # raised below
                _log.warning("%s must be processed again: %s", location, error)
                failures.append(error)
        if failures:
            raise failures[0]
        return outcomes

    def result(self, source: S3Location) -> Result | None:
        """Return the result of an object; None if there is none yet."""
        existing = self.results.find(self.results.location(source))
        return existing.document if existing and is_result(existing.document) else None

    def _store_missing(
        self,
        location: S3Location,
        result_location: S3Location,
        error: RemoteNotFoundError,
        model: dict[str, Any],
        begin: float,
    ) -> Outcome:
        """Store that an object does not exist, unless it has a result already."""
        source = {"bucket": location.bucket, "key": location.key, "version_id": location.version_id}
        result = _result(error_record(error), source, model, begin)
        return self.results.store(result_location, result, existing=None, is_final=is_result)

    def _classify(self, file: S3File, cancellation: Cancellation) -> dict[str, Any]:
        self.access.check_size(file)
        classification = self._shared.classify(file)
        record, duration_s = classification_record(classification), classification.audio.duration_s
        min_timeline_s = self.settings.timeline_over_s
        if min_timeline_s is not None and (duration_s is None or duration_s > min_timeline_s):
            record["timeline"] = self._timeline(file, cancellation)
        return record

    def _timeline(self, file: S3File, cancellation: Cancellation) -> dict[str, Any]:
        """Return windows and events; after a fault of the recording, those before it, and the error."""
        record: dict[str, Any] = {"status": "ok"}
        try:
            collect_timeline(timeline(self._shared, file, TIMELINE_PARAMETERS, cancellation), record)
        except AudioError as error:
            record |= error_record(error)
        return record


def _result(record: dict[str, Any], source: dict[str, Any], model: dict[str, Any], begin: float) -> Result:
    return {
        **record,
        "source": source,
        "model": model,
        "work_seconds": round(time.perf_counter() - begin, 4),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _is_final(
    existing: Any,
    source: dict[str, Any],
    model: dict[str, Any],
    is_current: Callable[[Mapping[str, Any]], bool],
) -> bool:
    """Return whether a stored document is the result of the same object and model, or of a newer object.

    Results of an older reader are not final.
    """
    if not is_result(existing) or (existing.get("status") == "error" and "message" not in existing):
        return False  # not a result, or an error in the format of version 0.1
    existing_source = existing["source"]
    if any(existing_source.get(name) != source[name] for name in ("bucket", "key")):
        return False
    if is_newer(existing_source, source, is_current):
        return True
    return is_same_state(existing_source, source) and all(
        existing["model"].get(name) == model[name] for name in ("digest", "reader")
    )
