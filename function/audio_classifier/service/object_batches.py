"""Process the objects of an event: inexpensive ones at the same time, all others alone and last."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from audio_classifier.errors import DeadlineExceededError, ProcessingFailedError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.log_context import OBJECT_FIELD, add_log_fields
from audio_classifier.service.upload_states import ClassifiedObject, OpenedObject, Outcome
from audio_classifier.service.uploads import Uploads

EXPENSIVE_BYTES: Final = 32 << 20
GRACE_S: Final = 1.0  # for work to notice the deadline, before it is no longer waited for

Deferred: TypeAlias = OpenedObject | ClassifiedObject
T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An object, and how often its event has been received: more than once if attempts failed."""

    location: S3Location
    receives: int = 1


class ObjectBatch:
    """Processes the objects of one event.

    Objects are opened, downloaded and classified at the same time; the network classifies one of them at a
    time.  Expensive objects (large files, timelines) follow, one at a time, the smallest first, so that the
    others are stored if the time does not suffice.  Objects that were received before are last, because one
    of them may have ended the function.

    Parameters
    ----------
    uploads
        Processes each object.
    cancellation
        Its deadline ends the work; the objects that remain fail with `DeadlineExceededError`.
    parallel
        How many objects are processed at the same time.  Each keeps up to 8 MiB of downloaded blocks, apart
        from what its decoder needs.
    """

    def __init__(self, uploads: Uploads, cancellation: Cancellation, *, parallel: int) -> None:
        self._uploads = uploads
        self._cancellation = cancellation
        self._parallel = parallel
        self._max_receives = uploads.settings.max_receives
        self._waits_until = time.monotonic() + cancellation.remaining_s + GRACE_S

    def process(self, deliveries: Sequence[Delivery]) -> list[Outcome | Exception]:
        """Process every object; return the outcome of each, or the error after which it must be retried.

        From the configured number of receives on, an object has a result that reports failed attempts, until
        an attempt succeeds.  If the object is the only one and still exceeds the deadline, that result is its
        outcome.
        """
        is_only = len(deliveries) == 1
        outcomes: dict[int, Outcome | Exception] = {}
        deferred: dict[int, Deferred] = {}
        pool = ThreadPoolExecutor(self._parallel)
        try:
            # Each object has a context of its own, with its fields of log entries.
            started = [pool.submit(copy_context().run, self._start, delivery) for delivery in deliveries]
            for number, future in enumerate(started):
                item = self._result(future)
                if isinstance(item, OpenedObject | ClassifiedObject):
                    deferred[number] = item
                else:
                    outcomes[number] = item
            for number in sorted(deferred, key=lambda number: _order(deliveries[number], deferred[number])):
                delivery, item = deliveries[number], deferred[number]
                completed = pool.submit(copy_context().run, self._complete, delivery, item, is_only=is_only)
                outcomes[number] = self._result(completed)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        for number, outcome in outcomes.items():
            if isinstance(outcome, Exception):
                location = str(deliveries[number].location)
                _log.warning(
                    "%s must be processed again: %s", location, outcome, extra={OBJECT_FIELD: location}
                )
        return [outcomes[number] for number in range(len(deliveries))]

    def _result(self, future: Future[T]) -> T | Exception:
        """Wait for a result until the deadline: a request to S3 in progress may take longer."""
        left_s = max(0.0, self._waits_until - time.monotonic())
        try:
            return future.result(None if math.isinf(left_s) else left_s)
        except TimeoutError:
            return self._cancellation.error()

    def _start(self, delivery: Delivery) -> Outcome | Exception | Deferred:
        """Process an object, unless it is expensive or was received before."""
        add_log_fields(**{OBJECT_FIELD: str(delivery.location)})
        try:
            opened = self._uploads.open(delivery.location, self._cancellation)
            if not isinstance(opened, OpenedObject):
                return opened
            if delivery.receives > 1 or opened.file.size > EXPENSIVE_BYTES:
                return opened
            classified = self._uploads.classify(opened, self._cancellation)
            if classified.timeline_is_due:
                opened.file.release()
                return classified
            return self._uploads.finish(classified, self._cancellation)
        except Exception as error:  # noqa: BLE001  # the outcome of this object only
            if delivery.receives >= self._max_receives:
                self._store_failure(delivery, delivery.location, error)
            return error

    def _complete(self, delivery: Delivery, item: Deferred, *, is_only: bool) -> Outcome | Exception:
        add_log_fields(**{OBJECT_FIELD: str(delivery.location)})
        opened = item if isinstance(item, OpenedObject) else item.opened
        is_last = delivery.receives >= self._max_receives
        try:
            self._cancellation.check()
            if is_last:  # stored first, because the attempt may end the function
                self._uploads.store_failure(opened, _failure(delivery))
            if isinstance(item, OpenedObject):
                item = self._uploads.classify(item, self._cancellation)
            return self._uploads.finish(item, self._cancellation)
        except Exception as error:  # noqa: BLE001  # the outcome of this object only
            stored = self._store_failure(delivery, opened, error) if is_last else None
            is_proven = is_only and isinstance(error, DeadlineExceededError)
            return stored if stored is not None and is_proven else error

    def _store_failure(
        self, delivery: Delivery, subject: OpenedObject | S3Location, error: Exception
    ) -> Outcome | None:
        try:
            return self._uploads.store_failure(subject, _failure(delivery, error))
        except Exception:  # noqa: BLE001  # the outcome is the error of the attempt
            _log.exception("the failure of %s could not be stored", delivery.location)
            return None


def process_all(
    uploads: Uploads, locations: Sequence[S3Location], cancellation: Cancellation, *, parallel: int
) -> list[Outcome]:
    """Process every object, then raise the first error, so that the event is delivered again.

    The parameters are those of `ObjectBatch`.

    Returns
    -------
    The outcome of each object.
    """
    batch = ObjectBatch(uploads, cancellation, parallel=parallel)
    outcomes: list[Outcome] = []
    for outcome in batch.process([Delivery(location) for location in locations]):
        if isinstance(outcome, Exception):
            raise outcome
        outcomes.append(outcome)
    return outcomes


def _order(delivery: Delivery, item: Deferred) -> tuple[int, float]:
    """Return the key by which deferred objects are sorted."""
    if delivery.receives > 1:
        # In a fixed order, one that ends the function would always do so before the same others.
        return delivery.receives, random.random()  # noqa: S311
    opened = item if isinstance(item, OpenedObject) else item.opened
    return delivery.receives, opened.file.size


def _failure(delivery: Delivery, error: Exception | None = None) -> ProcessingFailedError:
    reason = "the function ended before it was processed" if error is None else str(error)
    return ProcessingFailedError(
        f"the object was received {delivery.receives} times and could not be processed: {reason}"
    )
