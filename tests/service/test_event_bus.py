from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from audio_classifier.errors import AccessDeniedError, TransferError
from audio_classifier.service.event_bus import EventBus
from tests.e2e.proxy import Answer, Proxy
from tests.support.event_buses import EventQueue


class FaultyEventBridge(Proxy):
    """Answer the next requests to publish with the given responses, and forward all others."""

    def __init__(self, target: str, *answers: Answer) -> None:
        super().__init__(target)
        self.answers = list(answers)

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        return self.answers.pop(0) if b'"Entries"' in body and self.answers else None


def failed_entry(code: str) -> Answer:
    entry = {"ErrorCode": code, "ErrorMessage": "injected"}
    return Answer(200, json.dumps({"FailedEntryCount": 1, "Entries": [entry]}).encode())


def failed_request(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"__type": code, "message": "injected"}).encode())


@pytest.fixture
def queue(s3: Any) -> EventQueue:
    url = s3.meta.endpoint_url
    requests.post(f"{url}/moto-api/reset", timeout=10).raise_for_status()
    return EventQueue(url, "audio")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_classifier.service.event_bus.random.uniform", lambda *_: 0)


def put(name: str = "audio") -> None:
    EventBus(name).put("audio-classifier", "AudioClassified", '{"status":"ok"}')


def test_event_is_published(queue: EventQueue) -> None:
    put()
    (event,) = queue.receive()
    assert event["source"] == "audio-classifier"
    assert event["detail-type"] == "AudioClassified"
    assert event["detail"] == {"status": "ok"}


def test_bus_may_be_named_by_its_arn(queue: EventQueue) -> None:
    put(queue.events.describe_event_bus(Name="audio")["Arn"])
    assert len(queue.receive()) == 1


@pytest.mark.parametrize(
    "failures",
    [
        [failed_entry("ThrottlingException")],
        [failed_entry("InternalFailure"), failed_entry("ThrottlingException")],
        [failed_request(400, "ThrottlingException")],
        [failed_request(500, "InternalException"), failed_request(503, "ServiceUnavailable")],
    ],
    ids=["entry", "two entries", "request", "two requests"],
)
def test_temporary_failure_is_repeated(
    queue: EventQueue, monkeypatch: pytest.MonkeyPatch, failures: list[Answer]
) -> None:
    with FaultyEventBridge(queue.events.meta.endpoint_url, *failures) as faulty:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        put()
        assert not faulty.answers
    assert len(queue.receive()) == 1


@pytest.mark.parametrize(
    ("failure", "expected", "message"),
    [
        (
            failed_entry("ThrottlingException"),
            TransferError,
            "event bus audio: .*ThrottlingException.*injected",
        ),
        (failed_entry("AccessDeniedException"), AccessDeniedError, "access requires events:PutEvents: "),
        (failed_entry("MalformedDetail"), TransferError, "MalformedDetail"),
        (failed_request(400, "ThrottlingException"), TransferError, "ThrottlingException"),
        (
            failed_request(400, "AccessDeniedException"),
            AccessDeniedError,
            "access requires events:PutEvents: ",
        ),
        (failed_request(503, "ServiceUnavailable"), TransferError, "ServiceUnavailable"),
    ],
)
def test_lasting_failure_is_raised(
    queue: EventQueue,
    monkeypatch: pytest.MonkeyPatch,
    failure: Answer,
    expected: type[TransferError],
    message: str,
) -> None:
    with FaultyEventBridge(queue.events.meta.endpoint_url, *[failure] * 9) as faulty:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        with pytest.raises(TransferError, match=message) as caught:
            put()
        is_temporary = any(word in message for word in ("Throttling", "Unavailable"))
        assert 9 - len(faulty.answers) == (3 if is_temporary else 1)
    assert type(caught.value) is expected
    assert queue.receive() == []


def test_missing_bus_is_an_error_although_events_could_be_put(
    queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EventBridge accepts events for a bus that does not exist, and drops them."""
    accepted = Answer(200, json.dumps({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}).encode())
    with FaultyEventBridge(queue.events.meta.endpoint_url, accepted) as faulty:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        with pytest.raises(TransferError, match=r"event bus no-such-bus: .* does not exist") as caught:
            put("no-such-bus")
        assert faulty.answers == [accepted]
    assert type(caught.value) is TransferError


def test_permission_to_look_up_the_bus_is_named(queue: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denying(Proxy):
        def own_answer(self, method: str, path: str, body: bytes) -> Answer:
            return failed_request(400, "AccessDeniedException")

    with Denying(queue.events.meta.endpoint_url) as denying:
        monkeypatch.setenv("AWS_ENDPOINT_URL", denying.url)
        with pytest.raises(AccessDeniedError, match="access requires events:DescribeEventBus: "):
            put()


def test_discarded_client_is_replaced(queue: EventQueue) -> None:
    bus = EventBus("audio")
    client = bus.client()
    assert bus.client() is client
    bus.discard_client()
    assert bus.client() is not client
    bus.put("audio-classifier", "AudioClassified", "{}")


def test_unreachable_endpoint_is_a_transfer_error(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match="event bus audio: Could not connect"):
        put()
