from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from audio_classifier.errors import DeadlineExceededError, RequestCancelledError
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.parameters import parse_parameters
from audio_classifier.service.predict import predict, timeline
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.support.sounds import busy, encode


def test_work_continues_without_a_deadline() -> None:
    cancellation = Cancellation()
    cancellation.check()
    assert cancellation.remaining_s == float("inf")


def test_work_stops_after_its_deadline() -> None:
    cancellation = Cancellation(0.05)
    cancellation.check()
    time.sleep(0.06)
    assert cancellation.remaining_s == 0
    with pytest.raises(DeadlineExceededError, match=r"0\.05 s"):
        cancellation.check()
    cancellation.set_deadline(60)
    cancellation.check()


def test_cancelled_work_stops_before_its_deadline() -> None:
    cancellation = Cancellation(60)
    cancellation.cancel()
    with pytest.raises(RequestCancelledError):
        cancellation.check()


def test_checked_file_stops_at_the_next_read() -> None:
    cancellation = Cancellation()
    file = cancellation.checked(io.BytesIO(b"content"))
    assert isinstance(file, type(cancellation.checked(io.BytesIO())))
    assert file.read(3) == b"con"  # type: ignore[union-attr]
    cancellation.cancel()
    with pytest.raises(RequestCancelledError):
        file.read(3)  # type: ignore[union-attr]


def test_checked_file_announces_reads_to_the_file() -> None:
    class Fetching(io.BytesIO):
        expected = 0

        def expect(self, size: int, /) -> None:
            self.expected = size

    fetching = Fetching()
    Cancellation().checked(fetching).expect(7)  # type: ignore[union-attr]
    assert fetching.expected == 7


def test_checked_file_gives_the_same_predictions(shared_classifier: SharedClassifier, assets: Path) -> None:
    parameters = parse_parameters({"top_k": 3})
    with (assets / "thunder.wav").open("rb") as file:
        checked = predict(shared_classifier, file, parameters, Cancellation(60))
    assert checked == predict(shared_classifier, assets / "thunder.wav", parameters)


def test_prediction_stops_while_the_file_is_read(shared_classifier: SharedClassifier) -> None:
    cancellation = Cancellation()

    class CancellingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            cancellation.cancel()
            return super().read(size)

    with pytest.raises(RequestCancelledError):
        predict(
            shared_classifier,
            CancellingFile(encode(busy(10, 16_000), 16_000)),
            parse_parameters({}),
            cancellation,
        )


def test_timeline_stops_at_its_next_item(shared_classifier: SharedClassifier) -> None:
    cancellation = Cancellation()
    content = encode(busy(60, 8_000), 8_000)
    items = timeline(shared_classifier, content, parse_parameters({"timeline": True}), cancellation)
    next(items)
    cancellation.cancel()
    with pytest.raises(RequestCancelledError):
        next(items)
