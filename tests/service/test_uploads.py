from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings

from audio_classifier.errors import DeadlineExceededError, ProcessingFailedError, TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.upload_states import OpenedObject, Skipped
from audio_classifier.service.uploads import Uploads
from tests.service.deployment import read_result, shared_with
from tests.support.json_values import DOCUMENTS
from tests.support.sounds import busy, encode

ODD_KEYS = ["a.wav", "in/deep er/a+b%20c.wav", "ü/雨.wav", "no extension", "a//b.wav"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_result_describes_predictions_object_and_model(
    buckets: Any, uploads: Uploads, rain: bytes, key: str
) -> None:
    put = buckets.put_object(Bucket="uploads", Key=key, Body=rain)
    outcome = uploads.process(S3Location("uploads", key))
    assert isinstance(outcome, Stored)
    assert outcome.location == S3Location("results", f"results/{key}.json")
    result = read_result(buckets, f"results/{key}.json")
    assert result["status"] == "ok"
    assert "Rain" in [prediction["label"] for prediction in result["predictions"]]
    assert result["source"]["bucket"] == "uploads"
    assert result["source"]["key"] == key
    assert result["source"]["etag"] == put["ETag"]
    assert result["source"]["size"] == len(rain)
    assert result["audio"] == {
        "format": "WAV", "subtype": "PCM_16", "sample_rate_hz": 22_050, "channels": 1, "seconds": 10.0,
    }  # fmt: skip
    assert result["model"]["bundle"] == "compact"
    assert len(result["model"]["digest"]) == 64
    head = buckets.head_object(Bucket="results", Key=f"results/{key}.json")
    assert head["ContentType"] == "application/json"
    assert head["ServerSideEncryption"] == "AES256"
    assert head["Metadata"] == {"audio-classifier": result["model"]["version"]}


def test_result_of_a_long_recording_has_a_timeline(buckets: Any, assets: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene.wav"
    recordings = [soundfile.read(assets / name) for name in ("rain.wav", "siren.wav")]
    rate_hz = recordings[0][1]
    parts = [soxr.resample(samples, source_rate_hz, rate_hz) for samples, source_rate_hz in recordings]
    soundfile.write(scene, np.concatenate(parts), rate_hz)
    buckets.put_object(Bucket="uploads", Key="scene.wav", Body=scene.read_bytes())
    buckets.put_object(Bucket="uploads", Key="rain.wav", Body=(assets / "rain.wav").read_bytes())
    uploads = Uploads(shared_with(timeline_over_s=10))
    for key in ("scene.wav", "rain.wav"):
        assert isinstance(uploads.process(S3Location("uploads", key)), Stored)

    assert "timeline" not in read_result(buckets, "results/rain.wav.json")
    result = read_result(buckets, "results/scene.wav.json")
    assert len(result["predictions"]) == 5
    timeline = result["timeline"]
    assert timeline["status"] == "ok"
    duration_s = sum(len(part) for part in parts) / rate_hz
    assert timeline["windows"][-1]["end"] == pytest.approx(duration_s, abs=1)
    assert all(p["probability"] >= 0.3 for window in timeline["windows"] for p in window["predictions"])
    (siren,) = (event for event in timeline["events"] if event["label"] == "Siren")
    assert siren["start"] == pytest.approx(10, abs=1.5)
    starts = [event["start"] for event in timeline["events"]]
    assert starts == sorted(starts)


def test_timeline_of_a_too_long_recording_ends_with_an_error(buckets: Any) -> None:
    uploads = Uploads(shared_with(timeline_over_s=10, max_timeline_s=20))
    buckets.put_object(Bucket="uploads", Key="long.wav", Body=encode(busy(30, 16_000), 16_000))
    uploads.process(S3Location("uploads", "long.wav"))
    result = read_result(buckets, "results/long.wav.json")
    assert result["status"] == "ok"
    assert result["timeline"]["status"] == "error"
    assert result["timeline"]["code"] == "recording_too_long"
    assert 15 < result["timeline"]["windows"][-1]["end"] <= 20


def test_duplicate_event_leaves_the_result_unchanged(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    assert isinstance(uploads.process(S3Location("uploads", "a.wav")), Stored)
    before = buckets.get_object(Bucket="results", Key="results/a.wav.json")
    assert isinstance(uploads.process(S3Location("uploads", "a.wav")), Unchanged)
    after = buckets.get_object(Bucket="results", Key="results/a.wav.json")
    assert before["LastModified"] == after["LastModified"]
    assert before["Body"].read() == after["Body"].read()


def test_concurrent_duplicates_store_one_result(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: uploads.process(S3Location("uploads", "a.wav")), range(6)))
    assert sorted(outcome.state for outcome in outcomes) == ["stored"] + ["unchanged"] * 5


def test_replaced_object_or_model_gets_a_new_result(
    buckets: Any, uploads: Uploads, rain: bytes, assets: Path, compact: Path, tmp_path: Path
) -> None:
    location = S3Location("uploads", "a.wav")
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    uploads.process(location)
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=(assets / "speech.wav").read_bytes())
    assert isinstance(uploads.process(location), Stored)
    assert read_result(buckets, "results/a.wav.json")["predictions"][0]["label"] == "Speech"

    other = shutil.copytree(compact, tmp_path / "other")
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "', '"version": "9.'))
    assert isinstance(Uploads(shared_with(bundle=str(other))).process(location), Stored)
    assert read_result(buckets, "results/a.wav.json")["model"]["version"].startswith("9.")


def test_changed_thresholds_give_a_new_result(
    buckets: Any, uploads: Uploads, rain: bytes, tmp_path: Path
) -> None:
    (tmp_path / "thresholds.json").write_text('{"thresholds": {"Rain": 1}}')
    buckets.put_object(Bucket="uploads", Key="rain.wav", Body=rain)
    location = S3Location("uploads", "rain.wav")
    with_thresholds = Uploads(shared_with(thresholds=tmp_path / "thresholds.json"))
    assert isinstance(uploads.process(location), Stored)
    assert isinstance(with_thresholds.process(location), Stored)
    assert isinstance(with_thresholds.process(location), Unchanged)
    labels = [one["label"] for one in read_result(buckets, "results/rain.wav.json")["predictions"]]
    assert "Rain" not in labels
    assert isinstance(uploads.process(location), Stored)


def test_old_version_does_not_replace_the_result_of_a_newer_one(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Enabled"})
    old = buckets.put_object(Bucket="uploads", Key="v.wav", Body=encode(busy(1, 8_000), 8_000))["VersionId"]
    time.sleep(1.1)  # S3 keeps times in whole seconds
    new = buckets.put_object(Bucket="uploads", Key="v.wav", Body=rain)["VersionId"]
    assert isinstance(uploads.process(S3Location("uploads", "v.wav", new)), Stored)
    assert isinstance(uploads.process(S3Location("uploads", "v.wav", old)), Unchanged)
    assert read_result(buckets, "results/v.wav.json")["source"]["version_id"] == new
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize("sequencers", [("0055AED6DCD90281E5", "0055AED6DCD90281E6"), (None, None)])
def test_object_that_is_replaced_within_a_second_ends_with_the_newest_result(
    buckets: Any,
    shared_classifier: SharedClassifier,
    rain: bytes,
    monkeypatch: pytest.MonkeyPatch,
    sequencers: tuple[str | None, str | None],
) -> None:
    first, second = (S3Location("uploads", "o.wav", sequencer=sequencer) for sequencer in sequencers)
    slow, fast = Uploads(shared_classifier), Uploads(shared_classifier)
    old_content = encode(busy(1, 8_000), 8_000)
    classify = shared_classifier.classify

    def classify_while_replaced(source: Any, **options: Any) -> Any:
        monkeypatch.setattr(shared_classifier, "classify", classify)
        classification = classify(source, **options)
        buckets.put_object(Bucket="uploads", Key="o.wav", Body=rain)
        assert isinstance(fast.process(second), Stored)
        return classification

    for _ in range(5):  # until both are written within a second
        buckets.put_object(Bucket="uploads", Key="o.wav", Body=old_content)
        time_before = buckets.head_object(Bucket="uploads", Key="o.wav")["LastModified"]
        monkeypatch.setattr(shared_classifier, "classify", classify_while_replaced)
        assert isinstance(slow.process(first), Unchanged)
        current = buckets.head_object(Bucket="uploads", Key="o.wav")
        result = read_result(buckets, "results/o.wav.json")
        assert result["source"]["etag"] == current["ETag"]
        assert result["source"].get("sequencer") == sequencers[1]
        assert "Rain" in [prediction["label"] for prediction in result["predictions"]]
        if current["LastModified"] == time_before:
            return
        buckets.delete_object(Bucket="results", Key="results/o.wav.json")
    pytest.fail("no two objects were written within a second")


def test_versions_of_the_same_second_are_ordered_by_their_sequencers(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Enabled"})
    bodies = (encode(busy(1, 8_000), 8_000), rain)
    old, new = (buckets.put_object(Bucket="uploads", Key="s.wav", Body=body)["VersionId"] for body in bodies)
    assert isinstance(uploads.process(S3Location("uploads", "s.wav", new, "0B")), Stored)
    assert isinstance(uploads.process(S3Location("uploads", "s.wav", old, "0A")), Unchanged)
    assert read_result(buckets, "results/s.wav.json")["source"]["version_id"] == new
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"not audio", "unsupported_format"),
        (b"", "empty_audio"),
        (bytes(3000), "object_too_large"),
        (None, "remote_not_found"),
    ],
)
def test_permanent_failure_is_stored(buckets: Any, content: bytes | None, code: str) -> None:
    uploads = Uploads(shared_with(max_object_bytes=2999))
    if content is not None:
        buckets.put_object(Bucket="uploads", Key="bad.wav", Body=content)
    outcome = uploads.process(S3Location("uploads", "bad.wav"))
    assert isinstance(outcome, Stored)
    assert outcome.error
    result = read_result(buckets, "results/bad.wav.json")
    assert result["status"] == "error"
    assert result["code"] == code
    assert result["message"] == outcome.error
    repeated = uploads.process(S3Location("uploads", "bad.wav"))
    assert repeated == Unchanged(outcome.location, outcome.error)


def test_deleted_object_keeps_its_result(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    uploads.process(S3Location("uploads", "a.wav"))
    buckets.delete_object(Bucket="uploads", Key="a.wav")
    assert isinstance(uploads.process(S3Location("uploads", "a.wav")), Unchanged)
    assert read_result(buckets, "results/a.wav.json")["status"] == "ok"


@pytest.mark.parametrize(
    "location",
    [
        S3Location("uploads", "copied.json"),
        S3Location("results", "results/x.json"),
        S3Location("uploads", "folder/"),
    ],
)
def test_results_and_folders_are_skipped(buckets: Any, uploads: Uploads, location: S3Location) -> None:
    buckets.put_object(Bucket="uploads", Key="copied.json", Body=b"{}", Metadata={"audio-classifier": "0"})
    outcome = uploads.process(location)
    assert outcome == Skipped()
    assert (outcome.state, str(outcome)) == ("skipped", "skipped")


def test_result_in_the_bucket_of_the_object_is_skipped(buckets: Any, rain: bytes) -> None:
    uploads = Uploads(shared_with(results_bucket=None))
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    outcome = uploads.process(S3Location("uploads", "a.wav"))
    assert isinstance(outcome, Stored)
    assert outcome.location == S3Location("uploads", "results/a.wav.json")
    assert uploads.process(S3Location("uploads", "results/a.wav.json")) == Skipped()


@contextmanager
def failing(client: Any, operation: str, status: int) -> Iterator[None]:
    """Replace an operation of a client by one that raises botocore's error for an HTTP status."""
    from botocore.exceptions import ClientError

    original = getattr(client, operation)

    def fail(**_: Any) -> Any:
        raise ClientError(
            {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": str(status)}}, operation
        )

    setattr(client, operation, fail)
    try:
        yield
    finally:
        setattr(client, operation, original)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("head_object", 403),
        ("head_object", 503),
        ("get_object", 500),
        ("put_object", 403),
        ("put_object", 503),
        ("put_object", 412),
    ],
)
def test_temporary_failure_is_raised_and_not_stored(
    buckets: Any, uploads: Uploads, rain: bytes, operation: str, status: int
) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    with failing(uploads.access.client(), operation, status), pytest.raises(TransferError):
        uploads.process(S3Location("uploads", "a.wav"))
    assert buckets.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert isinstance(uploads.process(S3Location("uploads", "a.wav")), Stored)


def test_result_of_an_object_is_none_until_it_is_stored(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    location = S3Location("uploads", "a.wav")
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    assert uploads.result(location) is None
    uploads.process(location)
    assert uploads.result(location) == read_result(buckets, "results/a.wav.json")


def test_object_that_takes_too_many_requests_is_stored_as_an_error(
    buckets: Any, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.s3.objects.WINDOW_REQUESTS", 8)
    content = encode(busy(8, 16_000), 16_000, "OGG") + bytes(8 << 20)
    buckets.put_object(Bucket="uploads", Key="zeros.ogg", Body=content)
    assert isinstance(uploads.process(S3Location("uploads", "zeros.ogg")), Stored)
    assert read_result(buckets, "results/zeros.ogg.json")["code"] == "too_many_reads"


@given(document=DOCUMENTS)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_document_in_place_of_a_result_is_kept_or_replaced(
    buckets: Any, shared_classifier: SharedClassifier, document: Any
) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=b"not audio")
    buckets.put_object(Bucket="results", Key="results/a.wav.json", Body=json.dumps(document).encode())
    uploads, location = Uploads(shared_classifier), S3Location("uploads", "a.wav")
    uploads.result(location)
    assert isinstance(uploads.process(location), Stored | Unchanged)
    assert isinstance(uploads.process(location), Unchanged)
    buckets.delete_object(Bucket="uploads", Key="a.wav")
    assert isinstance(uploads.process(location), Unchanged)


class EndsAfter(Cancellation):
    """A deadline that passes at a number of checks."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self._checks = checks

    def check(self) -> None:
        self._checks -= 1
        if self._checks < 0:
            self.set_deadline(0)
        super().check()


@pytest.mark.parametrize("checks", [0, 1, 2, 3, 5, 8])
def test_object_is_not_stored_when_the_deadline_passes_during_its_analysis(buckets: Any, checks: int) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=encode(busy(60, 16_000), 16_000))
    uploads = Uploads(shared_with(timeline_over_s=10))
    with pytest.raises(DeadlineExceededError):
        uploads.process(S3Location("uploads", "a.wav"), EndsAfter(checks))
    assert buckets.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert isinstance(uploads.process(S3Location("uploads", "a.wav"), Cancellation(600)), Stored)


def failure(reason: str = "it takes too long") -> ProcessingFailedError:
    return ProcessingFailedError(reason)


def opened(uploads: Uploads, location: S3Location) -> OpenedObject:
    item = uploads.open(location, Cancellation())
    assert isinstance(item, OpenedObject)
    return item


def test_result_of_failed_attempts_is_replaced_by_that_of_a_later_one(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    location = S3Location("uploads", "a.wav")
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    outcome = uploads.store_failure(opened(uploads, location), failure())
    assert (outcome.state, outcome.error) == ("stored", "it takes too long")
    result = read_result(buckets, "results/a.wav.json")
    assert (result["status"], result["code"]) == ("error", "processing_failed")
    assert result["source"]["size"] == len(rain)
    assert uploads.result(location) == result

    assert isinstance(uploads.process(location), Stored)
    assert read_result(buckets, "results/a.wav.json")["status"] == "ok"


def test_failed_attempts_do_not_replace_the_result_of_another_writer(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    location = S3Location("uploads", "a.wav")
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    item = opened(uploads, location)
    uploads.process(location)
    assert isinstance(uploads.store_failure(item, failure()), Unchanged)
    assert isinstance(uploads.store_failure(location, failure()), Unchanged)
    assert read_result(buckets, "results/a.wav.json")["status"] == "ok"


def test_failed_attempts_of_an_object_that_cannot_be_opened_are_stored(
    buckets: Any, uploads: Uploads
) -> None:
    location = S3Location("uploads", "gone.wav", "version")
    assert isinstance(uploads.store_failure(location, failure()), Stored)
    result = read_result(buckets, "results/gone.wav.json")
    assert result["source"] == {"bucket": "uploads", "key": "gone.wav", "version_id": "version"}
    assert isinstance(uploads.process(S3Location("uploads", "gone.wav")), Stored)
    assert read_result(buckets, "results/gone.wav.json")["code"] == "remote_not_found"


def test_hostile_key_or_stored_message_adds_no_line_to_outcomes(buckets: Any, uploads: Uploads) -> None:
    key = "a\x1b[2J\u202e.wav"
    buckets.put_object(Bucket="uploads", Key=key, Body=b"not audio")
    location = S3Location("uploads", key)
    assert str(uploads.process(location)).isprintable()

    result_key = f"results/{key}.json"
    result = read_result(buckets, result_key) | {"message": "x\nERROR forged"}
    buckets.put_object(Bucket="results", Key=result_key, Body=json.dumps(result))
    outcome = str(uploads.process(location))
    assert outcome.startswith("unchanged ")
    assert "x\\nERROR forged" in outcome
    assert outcome.isprintable()
