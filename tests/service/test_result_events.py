"""Events of results, and their publication by everything that stores results."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audio_classifier.errors import ProcessingFailedError, TransferError
from audio_classifier.inference.record import is_result
from audio_classifier.s3 import json_documents
from audio_classifier.s3.location import S3Location
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_batches import Delivery, ObjectBatch
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.result_events import (
    DETAIL_TYPE,
    MAX_ENTRY_BYTES,
    SOURCE,
    ResultEvents,
    event_id,
)
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import SETTINGS, read_result, shared_with
from tests.support.event_buses import EventQueue
from tests.support.json_values import VALUES

LOCATION = S3Location("results", "results/a.wav.json")
SIREN = {"label_id": "/m/03kmc9", "label": "Siren"}
RAIN = {"label_id": "/m/06mb1", "label": "Rain"}
RESULT: dict[str, Any] = {
    "status": "ok",
    "predictions": [{**RAIN, "probability": 0.9123456789}, {**SIREN, "probability": 0.25}],
    "audio": {"format": "WAV", "seconds": 60.0},
    "timeline": {
        "status": "ok",
        "windows": [{"start": 0.0, "end": 2.88, "predictions": []}],
        "events": [
            {**SIREN, "start": 20.16, "end": 24.0, "peak": 0.8123456789, "mean": 0.7},
            {**RAIN, "start": 30.0, "end": 33.0, "peak": 0.35, "mean": 0.3},
        ],
    },
    "source": {
        "bucket": "uploads", "key": "a.wav", "version_id": "v1", "etag": '"e"', "size": 9,
        "last_modified": "2026-01-01T00:00:00+00:00",
    },
    "model": {"bundle": "compact", "version": "0.4.0", "digest": "d" * 64, "reader": 2},
    "work_seconds": 0.1,
    "time": "2026-01-01T00:00:01+00:00",
}  # fmt: skip


def event_of(result: dict[str, Any], *, repeated: bool = False, **changes: Any) -> dict[str, Any]:
    settings = shared_with(**changes).settings
    return ResultEvents(settings).event(LOCATION, result, repeated=repeated)


def entry_bytes(event: dict[str, Any]) -> int:
    return len((SOURCE + DETAIL_TYPE + json.dumps(event, separators=(",", ":"))).encode())


def test_event_has_object_model_location_and_classes_of_the_result() -> None:
    event = event_of(RESULT, repeated=True)
    assert event == {
        "id": event_id(RESULT),
        "repeated": True,
        "status": "ok",
        "time": RESULT["time"],
        "source": RESULT["source"],
        "model": RESULT["model"],
        "result": {"bucket": "results", "key": "results/a.wav.json"},
        "predictions": [{**RAIN, "probability": 0.912346}, {**SIREN, "probability": 0.25}],
        "timeline": {
            "status": "ok",
            "events": [
                {**SIREN, "start": 20.16, "end": 24.0, "peak": 0.812346, "mean": 0.7},
                {**RAIN, "start": 30.0, "end": 33.0, "peak": 0.35, "mean": 0.3},
            ],
        },
        "peaks": {"Rain": 0.912346, "Siren": 0.812346},
    }


def test_event_lists_sound_events_from_the_threshold_on() -> None:
    event = event_of(RESULT, sound_event_threshold=0.5)
    assert [one["label"] for one in event["timeline"]["events"]] == ["Siren"]
    assert event["peaks"] == {"Rain": 0.912346, "Siren": 0.812346}


def test_event_of_a_timeline_in_parts_has_the_peaks_of_its_classes() -> None:
    classes = [
        {**SIREN, "seconds": 3.84, "events": 1, "peak": 0.9},
        {**RAIN, "seconds": 3.0, "events": 1, "peak": 0.4},
    ]
    timeline = {
        "status": "ok",
        "parts": [{"key": "results/a.wav.timeline/x/00000.ndjson"}],
        "classes": classes,
    }
    event = event_of({**RESULT, "timeline": timeline}, sound_event_threshold=0.5)
    assert event["timeline"] == {"status": "ok", "classes": classes[:1]}
    assert event["peaks"] == {"Rain": 0.912346, "Siren": 0.9}


def test_event_of_a_permanent_failure_has_the_error_body() -> None:
    error = {"status": "error", "code": "unreadable_audio", "message": "not audio", "hint": "Use WAV."}
    event = event_of({name: RESULT[name] for name in ("source", "model", "time")} | error)
    assert error.items() <= event.items()
    assert event.keys().isdisjoint({"predictions", "peaks", "timeline"})


def test_event_of_an_incomplete_timeline_reports_its_error() -> None:
    timeline = {**RESULT["timeline"], "status": "error", "code": "damaged_audio", "message": "m", "hint": ""}
    event = event_of({**RESULT, "timeline": timeline})
    assert event["timeline"]["code"] == "damaged_audio"
    assert len(event["timeline"]["events"]) == 2


def changed(part: str, **values: Any) -> dict[str, Any]:
    return {**RESULT, part: {**RESULT[part], **values}}


def test_id_depends_only_on_the_object_the_model_and_whether_attempts_failed() -> None:
    same = [RESULT, {**RESULT, "time": "later", "work_seconds": 9}, changed("source", sequencer="0A")]
    others = [
        changed("source", key="b.wav"),
        changed("source", version_id="v2"),
        changed("source", etag='"f"'),
        changed("model", digest="e" * 64),
        changed("model", reader=3),
        changed("model", thresholds="t"),
        {**RESULT, "status": "error", "code": "processing_failed", "message": ""},
    ]
    assert len({event_id(result) for result in same}) == 1
    assert len({event_id(result) for result in [RESULT, *others]}) == 1 + len(others)
    assert len(event_id(RESULT)) == 64


@pytest.mark.parametrize(
    ("lists", "omitted"),
    [
        ({"events": 3000}, ["timeline.events"]),
        ({"events": 3000, "predictions": 3000}, ["timeline.events", "predictions"]),
        ({"events": 3000, "predictions": 10_000}, ["timeline.events", "predictions", "peaks"]),
        ({"events": 10}, None),
    ],
)
def test_long_event_omits_lists_and_keeps_the_location_of_the_result(
    lists: dict[str, int], omitted: list[str] | None
) -> None:
    events = [{**SIREN, "start": 1.0, "end": 2.0, "peak": 0.5, "mean": 0.5}] * lists["events"]
    predictions = [
        {"label_id": f"/{number}", "label": f"ü{number:030}", "probability": 0.123456}
        for number in range(lists.get("predictions", 2))
    ]
    result = {**RESULT, "predictions": predictions, "timeline": {"status": "ok", "events": events}}
    event = event_of(result)
    assert entry_bytes(event) <= MAX_ENTRY_BYTES < 256_000
    assert event.get("omitted") == omitted
    assert event["result"] == {"bucket": "results", "key": "results/a.wav.json"}
    assert ("events" in event["timeline"]) is (omitted is None)
    assert event.get("peaks", {"Siren": 0.5})["Siren"] == 0.5


def test_event_of_the_longest_key_is_short_enough() -> None:
    result = changed("source", key="\x01" * 1024)
    location = S3Location("results", "results/" + "\x01" * 1000)
    event = ResultEvents(SETTINGS).event(location, result, repeated=False)
    assert entry_bytes(event) < 20_000


ITEMS = st.lists(st.dictionaries(st.sampled_from(["label", "probability", "peak"]), VALUES)) | VALUES


@given(ITEMS, st.fixed_dictionaries({}, optional={"status": VALUES, "events": ITEMS}) | VALUES)
def test_event_of_any_stored_result_is_json(predictions: Any, timeline: Any) -> None:
    result = json_documents.parse(
        json.dumps({**RESULT, "predictions": predictions, "timeline": timeline}).encode()
    )
    assume(is_result(result))  # not with NaN
    json.dumps(event_of(result), allow_nan=False)


@pytest.fixture
def queue(buckets: Any) -> EventQueue:
    return EventQueue(buckets.meta.endpoint_url, "audio")


@pytest.fixture(scope="session")
def publishing_classifier() -> SharedClassifier:
    shared = shared_with(event_bus="audio", max_receives=2)
    shared.load()
    return shared


@pytest.fixture
def publishing(queue: EventQueue, publishing_classifier: SharedClassifier) -> Uploads:
    return Uploads(publishing_classifier)


def put_rain(buckets: Any, rain: bytes, key: str = "rain.wav") -> S3Location:
    buckets.put_object(Bucket="uploads", Key=key, Body=rain)
    return S3Location("uploads", key)


def test_stored_result_is_published(
    buckets: Any, queue: EventQueue, publishing: Uploads, rain: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audio_classifier")
    assert isinstance(publishing.process(put_rain(buckets, rain)), Stored)
    (event,) = queue.receive()
    assert (event["source"], event["detail-type"]) == ("audio-classifier", "AudioClassified")
    result, detail = read_result(buckets, "results/rain.wav.json"), event["detail"]
    assert detail["source"] == {name: value for name, value in result["source"].items() if value is not None}
    assert detail["model"] == result["model"]
    assert detail["id"] == event_id(result)
    assert detail["repeated"] is False
    assert detail["peaks"]["Rain"] > 0.5
    assert "published s3://results/results/rain.wav.json on the event bus audio" in caplog.text


def test_time_of_publication_is_reported(buckets: Any, queue: EventQueue, rain: bytes) -> None:
    shared, observer = shared_with(event_bus=queue.bus), Mock()
    shared.observe(observer)
    Uploads(shared).process(put_rain(buckets, rain))
    stages = {call.args[0]: call.args[1] for call in observer.stage_ended.call_args_list}
    assert {*stages} == {"open", "store", "publish"}
    assert stages["publish"] > 0


def test_result_that_is_stored_already_is_published_again(
    buckets: Any, queue: EventQueue, publishing: Uploads, uploads: Uploads, rain: bytes
) -> None:
    location = put_rain(buckets, rain)
    uploads.process(location)  # without a bus
    assert queue.receive() == []
    assert isinstance(publishing.process(location), Unchanged)
    assert isinstance(publishing.process(location), Unchanged)
    first, second = queue.receive()
    assert first["detail"] == second["detail"]
    assert first["detail"]["repeated"] is True


@pytest.mark.parametrize("content", [b"not audio", None], ids=["not audio", "missing"])
def test_permanent_failure_is_published(
    buckets: Any, queue: EventQueue, publishing: Uploads, content: bytes | None
) -> None:
    if content:
        buckets.put_object(Bucket="uploads", Key="a.wav", Body=content)
    publishing.process(S3Location("uploads", "a.wav"))
    (event,) = queue.receive()
    result = read_result(buckets, "results/a.wav.json")
    assert event["detail"]["status"] == "error"
    assert all(event["detail"][name] == result[name] for name in ("code", "message", "hint"))


def test_folder_and_result_are_not_published(buckets: Any, queue: EventQueue, publishing: Uploads) -> None:
    for location in (S3Location("uploads", "in/"), S3Location("results", "results/a.wav.json")):
        publishing.process(location)
    assert queue.receive() == []


def test_result_has_sound_events_of_the_whole_recording(
    buckets: Any, queue: EventQueue, assets: Path
) -> None:
    buckets.put_object(Bucket="uploads", Key="siren.wav", Body=(assets / "siren.wav").read_bytes())
    uploads = Uploads(shared_with(event_bus="audio", timeline_over_s=1, sound_event_threshold=0.9))
    uploads.process(S3Location("uploads", "siren.wav"))
    (event,) = queue.receive()
    stored = read_result(buckets, "results/siren.wav.json")["timeline"]["events"]
    published = event["detail"]["timeline"]["events"]
    assert 0 < len(published) < len(stored)
    assert all(one["peak"] >= 0.9 for one in published)
    assert "windows" not in event["detail"]["timeline"]


def test_unpublished_result_is_published_by_the_next_attempt(
    buckets: Any, queue: EventQueue, rain: bytes, publishing_classifier: SharedClassifier
) -> None:
    location = put_rain(buckets, rain)
    failing = Uploads(shared_with(event_bus="no-such-bus"))
    for _ in range(2):
        with pytest.raises(TransferError, match="event bus no-such-bus"):
            failing.process(location)
    assert read_result(buckets, "results/rain.wav.json")["status"] == "ok"
    assert isinstance(Uploads(publishing_classifier).process(location), Unchanged)
    (event,) = queue.receive()
    assert event["detail"]["peaks"]["Rain"] > 0.5


def test_concurrent_duplicates_each_publish_the_one_result(
    buckets: Any, queue: EventQueue, publishing: Uploads, rain: bytes
) -> None:
    """Each of them, because the one that stored the result may end before it publishes it."""
    location = put_rain(buckets, rain)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: publishing.process(location), range(4)))
    assert sorted(outcome.state for outcome in outcomes) == ["stored"] + ["unchanged"] * 3
    events = [event["detail"] for event in queue.receive()]
    assert len(events) == 4
    assert len({event["id"] for event in events}) == 1
    assert [event["repeated"] for event in events].count(False) == 1


def failing_classify(*_: object, **__: object) -> None:
    raise TransferError("S3 is down")


def test_last_attempt_that_fails_publishes_the_error_and_a_later_success_publishes_another_event(
    buckets: Any, queue: EventQueue, publishing: Uploads, rain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = put_rain(buckets, rain)

    def attempt(receives: int) -> Any:
        batch = ObjectBatch(publishing, Cancellation(), parallel=2)
        return batch.process([Delivery(location, receives)])[0]

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "classify", failing_classify)
        assert isinstance(attempt(1), TransferError)
        assert queue.receive() == []
        assert isinstance(attempt(2), TransferError)
    failed = queue.receive()
    assert {event["detail"]["code"] for event in failed} == {"processing_failed"}
    assert isinstance(attempt(3), Stored)
    *_, event = queue.receive()
    assert event["detail"]["status"] == "ok"
    assert event["detail"]["id"] not in {one["detail"]["id"] for one in failed}


def test_final_result_survives_attempts_that_cannot_publish_it(buckets: Any, rain: bytes) -> None:
    uploads = Uploads(shared_with(event_bus="no-such-bus", max_receives=2))
    location = put_rain(buckets, rain)
    for receives in range(1, 5):
        batch = ObjectBatch(uploads, Cancellation(), parallel=2)
        (outcome,) = batch.process([Delivery(location, receives)])
        assert isinstance(outcome, TransferError)
    assert read_result(buckets, "results/rain.wav.json")["status"] == "ok"


def test_failure_that_cannot_be_published_is_raised(buckets: Any) -> None:
    uploads = Uploads(shared_with(event_bus="no-such-bus"))
    with pytest.raises(TransferError, match="event bus no-such-bus"):
        uploads.store_failure(S3Location("uploads", "a.wav"), ProcessingFailedError("x"))
    assert read_result(buckets, "results/a.wav.json")["code"] == "processing_failed"
