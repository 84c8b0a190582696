"""Classify objects in S3 and store their results.

Events may be delivered more than once, concurrently or late: the same object and the same model give the
same result at the same location, and an object that has a result is not processed again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from audio_classifier.constants import EVENT_HOP_S, EVENT_THRESHOLD, EVENT_WINDOW_S
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    ProcessingFailedError,
    RemoteNotFoundError,
)
from audio_classifier.inference.record import (
    WRITTEN_BY,
    Result,
    classification_record,
    error_record,
    is_provisional,
    is_result,
    model_record,
)
from audio_classifier.s3.json_documents import StoredDocument
from audio_classifier.s3.location import S3Location
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.object_results import (
    ObjectResults,
    Stored,
    Unchanged,
    error_message,
)
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.predict import timeline
from audio_classifier.service.result_events import ResultEvents
from audio_classifier.service.result_order import is_newer, is_same_state, result_state
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.timeline_lines import MEDIA_TYPE
from audio_classifier.service.timeline_parts import stored_timeline
from audio_classifier.service.upload_states import ClassifiedObject, OpenedObject, Outcome, Skipped

TIMELINE_PARAMETERS: Final = PredictParameters.model_validate(
    {"timeline": True, "window": EVENT_WINDOW_S, "hop": EVENT_HOP_S, "threshold": EVENT_THRESHOLD}
)
STATE_DIGITS: Final = 16


class Uploads:
    """Processes objects with a shared classifier.

    `process` does what `open`, `classify` and `finish` do in turn; batches call these separately.

    Attributes
    ----------
    access, results, events
        How objects are opened, where their results are stored, and how these are published.
    """

    def __init__(self, shared: SharedClassifier) -> None:
        self._shared = shared
        self.settings = shared.settings
        self.access = ObjectAccess(shared.settings)
        self.results = ObjectResults(self.access, shared.settings)
        self.events = ResultEvents(shared.settings)

    def process(self, location: S3Location, cancellation: Cancellation | None = None) -> Outcome:
        """Classify an object and store the result, unless it is stored already.

        A permanent failure (not audio, does not exist, too large) is stored as a result that reports it.

        Raises
        ------
        TransferError, BundleError, DeadlineExceededError
            If a later attempt may succeed; nothing is stored then, or the result is not published yet.
        """
        cancellation = cancellation or Cancellation()
        opened = self.open(location, cancellation)
        if not isinstance(opened, OpenedObject):
            return opened
        return self.finish(self.classify(opened, cancellation), cancellation)

    def open(self, location: S3Location, cancellation: Cancellation) -> Outcome | OpenedObject:
        """Request the properties and the result of an object; the outcome if nothing remains to be done.

        Raises the errors of `process`.
        """
        cancellation.check()
        if location.key.endswith("/") or self.results.is_below_results(location):
            return Skipped()
        begin = time.perf_counter()
        classifier = self._shared.load()
        model = model_record(classifier.bundle, classifier.thresholds)
        result_location = self.results.location(location)
        try:
            with self._shared.timed("open"):
                file = self.access.open(location, check=cancellation.check)
        except RemoteNotFoundError as error:
            return self._store_unopened(location, error)
        if WRITTEN_BY in file.metadata:
            return Skipped()
        source = file.identity()
        if location.sequencer:
            source["sequencer"] = location.sequencer
        is_final = partial(_is_final, source=source, model=model, is_current=self.access.is_current)
        with self._shared.timed("open"):
            existing = self.results.find(result_location)
        if existing is not None and is_final(existing.document):
            # The attempt that stored it may have ended before it was published.
            self._publish(result_location, existing.document, repeated=True)
            return Unchanged(result_location, error_message(existing.document))
        work_s = time.perf_counter() - begin
        return OpenedObject(file, source, model, result_location, existing, is_final, work_s)

    def classify(self, opened: OpenedObject, cancellation: Cancellation) -> ClassifiedObject:
        """Classify the first ten seconds; a permanent failure is recorded.

        Raises
        ------
        TransferError, BundleError, DeadlineExceededError
            If a later attempt may succeed.
        """
        begin, timeline_is_due = time.perf_counter(), False
        try:
            self.access.check_size(opened.file)
            classification = self._shared.classify(cancellation.checked(opened.file))
            record = classification_record(classification)
            timeline_is_due = self._has_timeline(classification.audio.duration_s)
        except (AudioError, RemoteNotFoundError) as error:
            record = error_record(error)
        work_s = opened.work_s + time.perf_counter() - begin
        return ClassifiedObject(opened, record, timeline_is_due, work_s)

    def finish(self, classified: ClassifiedObject, cancellation: Cancellation) -> Stored | Unchanged:
        """Add the timeline if it is due, and store the result.

        Raises
        ------
        TransferError, BundleError, DeadlineExceededError
            If a later attempt may succeed; nothing is stored then, or the result is not published yet.
        """
        begin, opened, record = time.perf_counter(), classified.opened, classified.record
        if classified.timeline_is_due:
            try:
                record = {**record, "timeline": self._timeline(opened, cancellation)}
            except RemoteNotFoundError as error:
                record = error_record(error)
        work_s = classified.work_s + time.perf_counter() - begin
        result = _result(record, opened.source, opened.model, work_s)
        return self._store(opened.result_location, result, existing=opened.existing, is_final=opened.is_final)

    def store_failure(
        self, subject: OpenedObject | S3Location, error: ProcessingFailedError
    ) -> Stored | Unchanged:
        """Store a result that reports failed attempts, which any other result replaces.

        Parameters
        ----------
        subject
            The object; its location if it could not be opened.

        Raises
        ------
        TransferError
            If the result cannot be stored or published now.
        """
        if isinstance(subject, S3Location):
            return self._store_unopened(subject, error)
        result = _result(error_record(error), subject.source, subject.model, subject.work_s)
        return self._store(
            subject.result_location, result, existing=subject.existing, is_final=subject.is_final
        )

    def result(self, source: S3Location) -> Result | None:
        """Return the result of an object; None if there is none yet."""
        existing = self.results.find(self.results.location(source))
        return existing.document if existing and is_result(existing.document) else None

    def _store_unopened(self, location: S3Location, error: AudioClassifierError) -> Stored | Unchanged:
        """Store why an object could not be opened, unless it has a result already."""
        source = {"bucket": location.bucket, "key": location.key, "version_id": location.version_id}
        result = _result(error_record(error), source, model_record(self._shared.load().bundle), 0)
        return self._store(
            self.results.location(location),
            result,
            existing=None,
            is_final=lambda document: is_result(document) and not is_provisional(document),
        )

    def _store(
        self,
        location: S3Location,
        result: Result,
        *,
        existing: StoredDocument | None,
        is_final: Callable[[Any], bool],
    ) -> Stored | Unchanged:
        """Store a result and publish it, or the final one that another writer stored in the meantime."""
        with self._shared.timed("store"):
            outcome = self.results.store(location, result, existing=existing, is_final=is_final)
        if isinstance(outcome, Stored):
            self._publish(location, result, repeated=False)
        elif self.events.bus and (stored := self.results.find(location)) and is_result(stored.document):
            # The other writer may have ended before it published it.
            self._publish(location, stored.document, repeated=True)
        return outcome

    def _publish(self, location: S3Location, result: Result, *, repeated: bool) -> None:
        if self.events.bus:
            with self._shared.timed("publish"):
                self.events.publish(location, result, repeated=repeated)

    def _has_timeline(self, duration_s: float | None) -> bool:
        min_timeline_s = self.settings.timeline_over_s
        return min_timeline_s is not None and (duration_s is None or duration_s > min_timeline_s)

    def _timeline(self, opened: OpenedObject, cancellation: Cancellation) -> dict[str, Any]:
        """Return windows and events, or the parts in which they are stored."""
        identity = json.dumps(result_state(opened.source, opened.model)).encode()
        state = hashlib.sha256(identity).hexdigest()[:STATE_DIGITS]  # parts of two states never mix

        def store_part(number: int, content: bytes) -> str:
            cancellation.check()
            name = f"{state}/{number:05}.ndjson"
            return self.results.store_part(opened.file.location, name, content, MEDIA_TYPE, opened.model)

        items = timeline(self._shared, opened.file, TIMELINE_PARAMETERS, cancellation)
        return stored_timeline(items, store_part)


def _result(record: dict[str, Any], source: dict[str, Any], model: dict[str, Any], work_s: float) -> Result:
    return {
        **record,
        "source": source,
        "model": model,
        "work_seconds": round(work_s, 4),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _is_final(
    existing: Any,
    source: dict[str, Any],
    model: dict[str, Any],
    is_current: Callable[[Mapping[str, Any]], bool],
) -> bool:
    """Return whether a stored document is the result of the same object and model, or of a newer object.

    Results of an older reader, and those that only report failed attempts, are not final.
    """
    if not is_result(existing) or (existing.get("status") == "error" and "message" not in existing):
        return False  # not a result, or an error in the format of version 0.1
    existing_source = existing["source"]
    if any(existing_source.get(name) != source[name] for name in ("bucket", "key")):
        return False
    if is_newer(existing_source, source, is_current):
        return True
    return (
        is_same_state(existing_source, source)
        and not is_provisional(existing)
        and all(existing["model"].get(name) == model.get(name) for name in ("digest", "reader", "thresholds"))
    )
