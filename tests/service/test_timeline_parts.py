"""Timelines of long recordings are stored in parts."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np
import pytest

from audio_classifier.errors import DamagedAudioError, ObjectChangedError, TransferError
from audio_classifier.inference.selection import Prediction
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.s3.location import S3Location
from audio_classifier.service import timeline_parts
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.predict import TimelineItem
from audio_classifier.service.timeline_parts import stored_timeline
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import read_result, shared_with
from tests.support.sounds import busy, encode

HOP_S = 0.96


def windows(count: int, *, fault_after: int | None = None) -> Generator[TimelineItem, None, None]:
    """Yield windows, and a sound event after every tenth of them."""
    for number in range(count):
        if number == fault_after:
            raise DamagedAudioError("it is damaged")
        start_s = number * HOP_S
        prediction = Prediction("/m/a", "Rain", 0.5)
        yield Window(start_s, start_s + 2.88, [prediction], start_s, start_s + HOP_S, np.zeros(1, np.float32))
        if number % 10 == 9:
            yield SoundEvent("/m/a", "Rain", start_s - 5, start_s, 0.5 + number / 1000, 0.5)


class Parts:
    """Parts that are stored in memory."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def store(self, number: int, content: bytes) -> str:
        assert number == len(self.contents)
        self.contents.append(content)
        return f"{number}.ndjson"


def test_short_timeline_has_no_parts() -> None:
    parts = Parts()
    timeline = stored_timeline(windows(100), parts.store, max_windows=100)
    assert parts.contents == []
    assert (len(timeline["windows"]), len(timeline["events"])) == (100, 10)
    assert timeline["status"] == "ok"


def test_long_timeline_is_a_list_of_parts_and_a_summary_of_classes() -> None:
    parts = Parts()
    timeline = stored_timeline(windows(250), parts.store, max_windows=100)
    assert timeline.keys() == {"status", "parts", "classes"}
    assert [part["windows"] for part in timeline["parts"]] == [100, 100, 50]
    assert [part["events"] for part in timeline["parts"]] == [10, 10, 5]
    assert [part["key"] for part in timeline["parts"]] == ["0.ndjson", "1.ndjson", "2.ndjson"]
    assert [part["bytes"] for part in timeline["parts"]] == [len(content) for content in parts.contents]
    assert timeline["classes"] == [
        {"label_id": "/m/a", "label": "Rain", "seconds": 125.0, "events": 25, "peak": pytest.approx(0.749)}
    ]
    lines = [json.loads(line) for content in parts.contents for line in content.decode().splitlines()]
    starts = [line["window"]["start"] for line in lines if "window" in line]
    assert starts == pytest.approx(np.arange(250) * HOP_S)
    assert timeline["parts"][1]["start"] == starts[100]
    first_event = next(number for number, line in enumerate(lines) if "event" in line)
    assert first_event == 10  # after the window in which it ended


def test_fault_of_the_recording_is_stored_after_what_precedes_it() -> None:
    parts = Parts()
    timeline = stored_timeline(windows(250, fault_after=130), parts.store, max_windows=100)
    assert (timeline["status"], timeline["message"]) == ("error", "it is damaged")
    assert [part["windows"] for part in timeline["parts"]] == [100, 30]


def test_memory_does_not_grow_with_the_length() -> None:
    peaks = []
    for count in (1_000, 10_000):
        tracemalloc.start()
        stored_timeline(windows(count), lambda number, _: str(number), max_windows=200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    bytes_per_window = (peaks[1] - peaks[0]) / 9_000
    assert bytes_per_window < 50  # a window in memory takes more than a kilobyte


@pytest.fixture
def long_uploads(buckets: Any, monkeypatch: pytest.MonkeyPatch) -> Uploads:
    """Uploads whose timelines have parts of ten windows, and a recording of 30 s."""
    monkeypatch.setattr(
        "audio_classifier.service.uploads.stored_timeline", partial(stored_timeline, max_windows=10)
    )
    put(buckets, 0)
    return Uploads(shared_with(timeline_over_s=10))


def put(buckets: Any, seed: int) -> None:
    buckets.put_object(Bucket="uploads", Key="long.wav", Body=encode(busy(30, 16_000, seed=seed), 16_000))


def keys(buckets: Any) -> list[str]:
    listed = buckets.list_objects_v2(Bucket="results")
    return [item["Key"] for item in listed.get("Contents", ())]


LOCATION = S3Location("uploads", "long.wav")


def test_parts_are_stored_next_to_the_result_before_it(buckets: Any, long_uploads: Uploads) -> None:
    assert isinstance(long_uploads.process(LOCATION), Stored)
    result = read_result(buckets, "results/long.wav.json")
    parts = result["timeline"]["parts"]
    assert len(parts) == 3
    for number, part in enumerate(parts):
        assert part["key"].startswith("results/long.wav.timeline/")
        assert part["key"].endswith(f"/{number:05}.ndjson")
        stored = buckets.get_object(Bucket="results", Key=part["key"])
        assert stored["ContentLength"] == part["bytes"]
        assert stored["ContentType"] == "application/x-ndjson"
        assert stored["ServerSideEncryption"] == "AES256"
        assert "audio-classifier" in stored["Metadata"]
    assert keys(buckets) == ["results/long.wav.json", *(part["key"] for part in parts)]
    assert isinstance(long_uploads.process(LOCATION), Unchanged)


def test_parts_of_another_version_of_the_object_have_other_names(buckets: Any, long_uploads: Uploads) -> None:
    long_uploads.process(LOCATION)
    before = {part["key"] for part in read_result(buckets, "results/long.wav.json")["timeline"]["parts"]}
    put(buckets, 1)
    long_uploads.process(LOCATION)
    after = {part["key"] for part in read_result(buckets, "results/long.wav.json")["timeline"]["parts"]}
    assert before.isdisjoint(after)


@pytest.mark.parametrize("error", [TransferError("slow"), ObjectChangedError("changed")])
def test_failed_part_leaves_no_result_and_the_next_attempt_replaces_the_parts(
    buckets: Any, long_uploads: Uploads, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store_part, stored = long_uploads.results.store_part, 0

    def fail_once(*arguments: Any) -> str:
        nonlocal stored
        stored += 1
        if stored == 2:
            raise error
        return store_part(*arguments)

    monkeypatch.setattr(long_uploads.results, "store_part", fail_once)
    with pytest.raises(type(error)):
        long_uploads.process(LOCATION)
    (left_over,) = keys(buckets)
    assert isinstance(long_uploads.process(LOCATION), Stored)
    parts = read_result(buckets, "results/long.wav.json")["timeline"]["parts"]
    assert parts[0]["key"] == left_over
    assert keys(buckets) == ["results/long.wav.json", *(part["key"] for part in parts)]


def test_part_holds_an_hour() -> None:
    assert 3600 < timeline_parts.MAX_WINDOWS * HOP_S < 4000
