from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from audio_classifier.errors import DeadlineExceededError, ProcessingFailedError, TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_batches import EXPENSIVE_BYTES, Delivery, ObjectBatch, process_all
from audio_classifier.service.object_results import Stored
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.upload_states import ClassifiedObject, OpenedObject, Outcome, Skipped
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import SETTINGS, read_result, shared_with
from tests.support.sounds import busy, encode

MAX_RECEIVES = 3


class ScriptedUploads(Uploads):
    """Uploads without S3: keys have the form ``name`` or ``name:fault``, and sizes are set by name.

    Attributes
    ----------
    steps
        What was done, in order.
    released
        Until it is set, objects with the fault ``stuck`` are in progress.
    """

    def __init__(self, **sizes: int) -> None:
        super().__init__(SharedClassifier(replace(SETTINGS, max_receives=MAX_RECEIVES)))
        self.steps: list[str] = []
        self.released = threading.Event()
        self._sizes = sizes

    def open(self, location: S3Location, cancellation: Cancellation) -> Outcome | OpenedObject:
        cancellation.check()
        name, _, fault = location.key.partition(":")
        self.steps.append(f"open {name}")
        if fault == "unreadable":
            raise TransferError("unreadable")
        if fault == "skipped":
            return Skipped()
        file = Mock(S3File, location=location, size=self._sizes.get(name, 1000))
        return OpenedObject(file, {}, {}, location, None, lambda _: False, 0)

    def classify(self, opened: OpenedObject, cancellation: Cancellation) -> ClassifiedObject:
        name, _, fault = opened.file.location.key.partition(":")
        self.steps.append(f"classify {name}")
        if fault == "broken":
            raise TransferError("broken")
        if fault == "odd":
            raise RuntimeError("unforeseen")
        if fault == "slow":
            cancellation.set_deadline(0)
        if fault == "stuck":
            self.released.wait(30)
        cancellation.check()
        return ClassifiedObject(opened, {}, fault == "timeline", 0)

    def finish(self, classified: ClassifiedObject, cancellation: Cancellation) -> Stored:
        name = classified.opened.file.location.key.partition(":")[0]
        self.steps.append(f"finish {name}")
        return Stored(classified.opened.result_location, "")

    def store_failure(self, subject: OpenedObject | S3Location, error: ProcessingFailedError) -> Stored:
        location = subject if isinstance(subject, S3Location) else subject.file.location
        self.steps.append(f"fail {location.key.partition(':')[0]}")
        return Stored(location, str(error))


def deliveries(*keys: str, **receives: int) -> list[Delivery]:
    return [Delivery(S3Location("uploads", key), receives.get(key.partition(":")[0], 1)) for key in keys]


def process(
    uploads: Uploads, items: list[Delivery], *, deadline_s: float | None = None, parallel: int = 1
) -> list[str]:
    """Process objects; return the state or the class of the error of each."""
    outcomes = ObjectBatch(uploads, Cancellation(deadline_s), parallel=parallel).process(items)
    return [type(item).__name__ if isinstance(item, Exception) else item.state for item in outcomes]


def test_outcomes_are_in_the_order_of_the_objects() -> None:
    uploads = ScriptedUploads(big=EXPENSIVE_BYTES + 1)
    items = deliveries("big", "a:skipped", "b:timeline", "c", "d:broken", "e:odd", "f:unreadable")
    assert process(uploads, items) == [
        *("stored", "skipped", "stored", "stored"),
        *("TransferError", "RuntimeError", "TransferError"),
    ]
    assert process(uploads, []) == []


def test_expensive_objects_are_processed_after_all_others_the_smallest_first() -> None:
    uploads = ScriptedUploads(huge=EXPENSIVE_BYTES + 2, large=EXPENSIVE_BYTES + 1, long=10)
    process(uploads, deliveries("huge", "large", "long:timeline", "a", "b"))
    last = ["finish long", "classify large", "finish large", "classify huge", "finish huge"]
    assert uploads.steps[-5:] == last
    assert {"finish a", "finish b", "classify long"} <= {*uploads.steps[:-5]}


def test_objects_that_were_received_before_are_processed_last_and_alone() -> None:
    uploads = ScriptedUploads(large=EXPENSIVE_BYTES + 1)
    assert process(uploads, deliveries("again", "large", "a", again=2), parallel=4) == ["stored"] * 3
    assert uploads.steps[-4:] == ["classify large", "finish large", "classify again", "finish again"]


def test_slow_object_leaves_no_time_only_to_those_after_it() -> None:
    uploads = ScriptedUploads(slow=EXPENSIVE_BYTES + 1, later=EXPENSIVE_BYTES + 2)
    outcomes = process(uploads, deliveries("slow:slow", "a", "later", "b"))
    assert outcomes == ["DeadlineExceededError", "stored", "DeadlineExceededError", "stored"]
    assert "classify later" not in uploads.steps


def test_no_object_is_processed_after_the_deadline() -> None:
    uploads = ScriptedUploads()
    assert process(uploads, deliveries("a", "b"), deadline_s=0) == ["DeadlineExceededError"] * 2
    assert uploads.steps == []


@pytest.mark.parametrize("parallel", [2, 4])
def test_objects_that_do_not_notice_the_deadline_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, parallel: int
) -> None:
    monkeypatch.setattr("audio_classifier.service.object_batches.GRACE_S", 0.1)
    uploads = ScriptedUploads(large=EXPENSIVE_BYTES + 1)
    items = deliveries("large", "a", "b:stuck", "c:stuck")
    try:
        outcomes = process(uploads, items, deadline_s=0.5, parallel=parallel)
    finally:
        uploads.released.set()
    late = "DeadlineExceededError"
    assert outcomes == [late, "stored", late, late]
    assert "classify large" not in uploads.steps


def test_failure_is_stored_before_the_last_attempts_which_may_end_the_function() -> None:
    uploads = ScriptedUploads()
    items = deliveries(
        "a", "early", "late", "done:skipped", early=MAX_RECEIVES - 1, late=MAX_RECEIVES, done=9
    )
    assert process(uploads, items) == ["stored", "stored", "stored", "skipped"]
    assert uploads.steps[-5:] == [
        "classify early",
        "finish early",
        "fail late",
        "classify late",
        "finish late",
    ]
    assert [step for step in uploads.steps if step.startswith("fail")] == ["fail late"]


@pytest.mark.parametrize("fault", ["broken", "unreadable", "odd"])
def test_message_of_an_object_that_fails_every_time_is_kept_and_its_failure_stored(fault: str) -> None:
    uploads = ScriptedUploads()
    (outcome,) = process(uploads, deliveries(f"a:{fault}", a=MAX_RECEIVES))
    assert outcome == ("RuntimeError" if fault == "odd" else "TransferError")
    assert uploads.steps[-1] == "fail a"


def test_object_that_is_too_slow_alone_has_failed_for_good() -> None:
    uploads = ScriptedUploads()
    items = deliveries("a:slow", a=MAX_RECEIVES)
    (outcome,) = ObjectBatch(uploads, Cancellation(), parallel=1).process(items)
    assert isinstance(outcome, Stored)
    assert "was received 3 times and could not be processed: the request was not served" in outcome.error

    assert process(uploads, [*items, *deliveries("b")]) == ["DeadlineExceededError", "stored"]
    assert process(uploads, deliveries("a:slow", a=MAX_RECEIVES - 1)) == ["DeadlineExceededError"]


def test_failure_that_cannot_be_stored_is_the_error_of_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = ScriptedUploads()
    monkeypatch.setattr(uploads, "store_failure", Mock(side_effect=TransferError("S3 is unavailable")))
    items = deliveries("a", "b:unreadable", a=MAX_RECEIVES, b=MAX_RECEIVES)
    assert process(uploads, items) == ["TransferError", "TransferError"]
    assert "classify a" not in uploads.steps


def test_all_objects_are_processed_before_the_first_error_is_raised() -> None:
    uploads = ScriptedUploads()
    locations = [item.location for item in deliveries("a:odd", "b", "c:broken")]
    with pytest.raises(RuntimeError, match="unforeseen"):
        process_all(uploads, locations, Cancellation(), parallel=1)
    assert "finish b" in uploads.steps
    (outcome,) = process_all(uploads, locations[1:2], Cancellation(), parallel=1)
    assert str(outcome) == "stored s3://uploads/b"


def test_objects_are_fetched_at_the_same_time(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    barrier = threading.Barrier(3, timeout=20)
    names = [f"{number}.wav" for number in range(3)]
    for name in names:
        buckets.put_object(Bucket="uploads", Key=name, Body=rain)
    client = uploads.access.client()
    fetch = client.get_object

    def get_object(**arguments: Any) -> Any:
        if "Range" in arguments and arguments["Range"].startswith("bytes=0-"):
            barrier.wait()
        return fetch(**arguments)

    client.get_object = get_object
    assert process(uploads, deliveries(*names), parallel=3) == ["stored"] * 3
    for name in names:
        assert read_result(buckets, f"results/{name}.json")["status"] == "ok"


def test_recording_that_is_due_a_timeline_is_finished_after_the_others(buckets: Any, rain: bytes) -> None:
    uploads = Uploads(shared_with(timeline_over_s=15))
    buckets.put_object(Bucket="uploads", Key="long.wav", Body=encode(busy(20, 16_000), 16_000))
    buckets.put_object(Bucket="uploads", Key="rain.wav", Body=rain)
    stored: list[str] = []
    store = uploads.results.store

    def record(location: S3Location, *args: Any, **options: Any) -> Any:
        stored.append(location.key)
        return store(location, *args, **options)

    uploads.results.store = record  # type: ignore[method-assign]
    assert process(uploads, deliveries("long.wav", "rain.wav"), parallel=2) == ["stored", "stored"]
    assert stored == ["results/rain.wav.json", "results/long.wav.json"]
    assert read_result(buckets, "results/long.wav.json")["timeline"]["windows"]


def test_log_of_a_hostile_key_has_no_further_line(uploads: Uploads, caplog: pytest.LogCaptureFixture) -> None:
    (outcome,) = process(uploads, deliveries("a\nERROR forged"))  # moto cannot store such a key
    assert outcome == "TransferError"
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("audio_classifier")]
    assert any("must be processed again" in message for message in logged)
    assert all(message.isprintable() for message in logged)


def test_deadline_is_the_error_of_work_that_is_not_waited_for() -> None:
    outcomes = ObjectBatch(ScriptedUploads(), Cancellation(0), parallel=1).process(deliveries("a"))
    assert isinstance(outcomes[0], DeadlineExceededError)
