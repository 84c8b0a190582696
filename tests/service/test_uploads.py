"""Objects in a real S3 are classified, once, whatever happens."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from audio_classifier.errors import TransferError
from audio_classifier.s3.location import S3Location
from audio_classifier.service.object_results import Stored, Unchanged
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads
from tests.support.sounds import busy, encode

SETTINGS = replace(Settings.from_environment({}), results_bucket="results", results_prefix="results/")
ODD_KEYS = ["a.wav", "in/deep er/a+b%20c.wav", "ü/雨.wav", "no extension", "a//b.wav"]


@pytest.fixture(scope="module")
def service() -> SharedClassifier:
    service = SharedClassifier(SETTINGS)
    service.load()
    return service


@pytest.fixture
def buckets(s3: Any) -> Any:
    """Empty buckets for uploads and results."""
    for name in ("uploads", "results"):
        s3.create_bucket(Bucket=name)
        for item in s3.list_object_versions(Bucket=name).get("Versions", []):
            s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    return s3


@pytest.fixture
def uploads(buckets: Any, service: SharedClassifier) -> Uploads:
    return Uploads(service)


@pytest.fixture
def rain(assets: Path) -> bytes:
    return (assets / "rain.wav").read_bytes()


def result(client: Any, key: str, bucket: str = "results") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    return answer


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_sound_gets_its_result(buckets: Any, uploads: Uploads, rain: bytes, key: str) -> None:
    put = buckets.put_object(Bucket="uploads", Key=key, Body=rain)
    stored = uploads.process(S3Location("uploads", key))
    assert isinstance(stored, Stored)
    assert stored.location == S3Location("results", f"results/{key}.json")
    answer = result(buckets, f"results/{key}.json")
    assert answer["status"] == "ok"
    assert "Rain" in [prediction["label"] for prediction in answer["predictions"]]
    assert answer["source"]["bucket"] == "uploads"
    assert answer["source"]["key"] == key
    assert answer["source"]["etag"] == put["ETag"]
    assert answer["source"]["size"] == len(rain)
    assert answer["audio"] == {
        "format": "WAV", "subtype": "PCM_16", "sample_rate_hz": 22_050, "channels": 1, "seconds": 10.0,
    }  # fmt: skip
    assert answer["model"]["bundle"] == "compact"
    assert len(answer["model"]["digest"]) == 64
    head = buckets.head_object(Bucket="results", Key=f"results/{key}.json")
    assert head["ContentType"] == "application/json"
    assert head["ServerSideEncryption"] == "AES256"
    assert head["Metadata"] == {"audio-classifier": answer["model"]["version"]}


def test_the_result_of_a_long_recording_has_a_timeline(
    buckets: Any, service: SharedClassifier, assets: Path, tmp_path: Path
) -> None:
    scene = tmp_path / "scene.wav"
    parts = [soundfile.read(assets / name) for name in ("rain.wav", "siren.wav")]
    rate_hz = parts[0][1]
    sounds = [soxr.resample(sound, rate, rate_hz) for sound, rate in parts]
    soundfile.write(scene, np.concatenate(sounds), rate_hz)
    buckets.put_object(Bucket="uploads", Key="scene.wav", Body=scene.read_bytes())
    buckets.put_object(Bucket="uploads", Key="rain.wav", Body=(assets / "rain.wav").read_bytes())
    uploads = Uploads(with_settings(service, timeline_over_s=10))
    for key in ("scene.wav", "rain.wav"):
        assert uploads.process(S3Location("uploads", key)).state == "stored"

    assert "timeline" not in result(buckets, "results/rain.wav.json")
    answer = result(buckets, "results/scene.wav.json")
    assert len(answer["predictions"]) == 5
    timeline = answer["timeline"]
    assert timeline["status"] == "ok"
    seconds = sum(len(sound) for sound in sounds) / rate_hz
    assert timeline["windows"][-1]["end"] == pytest.approx(seconds, abs=1)
    assert all(p["probability"] >= 0.3 for window in timeline["windows"] for p in window["predictions"])
    (siren,) = (event for event in timeline["events"] if event["label"] == "Siren")
    assert siren["start"] == pytest.approx(10, abs=1.5)
    starts = [event["start"] for event in timeline["events"]]
    assert starts == sorted(starts)


def test_a_timeline_that_cannot_go_on_says_so(buckets: Any, service: SharedClassifier) -> None:
    uploads = Uploads(with_settings(service, timeline_over_s=10, max_timeline_s=20))
    buckets.put_object(Bucket="uploads", Key="long.wav", Body=encode(busy(30, 16_000), 16_000))
    uploads.process(S3Location("uploads", "long.wav"))
    answer = result(buckets, "results/long.wav.json")
    assert answer["status"] == "ok"
    assert answer["timeline"]["status"] == "error"
    assert answer["timeline"]["code"] == "recording_too_long"
    assert 15 < answer["timeline"]["windows"][-1]["end"] <= 20


def with_settings(service: SharedClassifier, **changed: Any) -> SharedClassifier:
    """Another service with the same model."""
    other = SharedClassifier(replace(service.settings, **changed))
    other.load()
    return other


def test_a_duplicate_changes_nothing(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    assert uploads.process(S3Location("uploads", "a.wav")).state == "stored"
    before = buckets.get_object(Bucket="results", Key="results/a.wav.json")
    assert uploads.process(S3Location("uploads", "a.wav")).state == "unchanged"
    after = buckets.get_object(Bucket="results", Key="results/a.wav.json")
    assert before["LastModified"] == after["LastModified"]
    assert before["Body"].read() == after["Body"].read()


def test_duplicates_at_once_are_written_once(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    with ThreadPoolExecutor(6) as pool:
        stored = list(pool.map(lambda _: uploads.process(S3Location("uploads", "a.wav")), range(6)))
    assert sorted(one.state for one in stored) == ["stored"] + ["unchanged"] * 5


def test_a_replaced_object_or_model_gets_a_new_result(
    buckets: Any, uploads: Uploads, rain: bytes, assets: Path, compact: Path, tmp_path: Path
) -> None:
    ref = S3Location("uploads", "a.wav")
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    uploads.process(ref)
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=(assets / "speech.wav").read_bytes())
    assert uploads.process(ref).state == "stored"
    assert result(buckets, "results/a.wav.json")["predictions"][0]["label"] == "Speech"

    other = shutil.copytree(compact, tmp_path / "other")
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "', '"version": "9.'))
    assert Uploads(SharedClassifier(replace(SETTINGS, bundle=str(other)))).process(ref).state == "stored"
    assert result(buckets, "results/a.wav.json")["model"]["version"].startswith("9.")


def test_an_old_version_does_not_replace_the_result_of_a_newer(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Enabled"})
    old = buckets.put_object(Bucket="uploads", Key="v.wav", Body=encode(busy(1, 8_000), 8_000))["VersionId"]
    time.sleep(1.1)  # S3 keeps times in whole seconds
    new = buckets.put_object(Bucket="uploads", Key="v.wav", Body=rain)["VersionId"]
    assert uploads.process(S3Location("uploads", "v.wav", new)).state == "stored"
    assert uploads.process(S3Location("uploads", "v.wav", old)).state == "unchanged"
    assert result(buckets, "results/v.wav.json")["source"]["version_id"] == new
    buckets.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no sound", "unreadable_audio"),
        (b"", "empty_audio"),
        (bytes(3000), "object_too_large"),
        (None, "remote_not_found"),
    ],
)
def test_what_can_never_succeed_is_said_in_a_result(buckets: Any, content: bytes | None, code: str) -> None:
    uploads = Uploads(SharedClassifier(replace(SETTINGS, max_object_bytes=2999)))
    if content is not None:
        buckets.put_object(Bucket="uploads", Key="bad.wav", Body=content)
    stored = uploads.process(S3Location("uploads", "bad.wav"))
    assert isinstance(stored, Stored)
    assert stored.error
    answer = result(buckets, "results/bad.wav.json")
    assert answer["status"] == "error"
    assert answer["code"] == code
    assert answer["message"] == stored.error
    again = uploads.process(S3Location("uploads", "bad.wav"))
    assert again == Unchanged(stored.location, stored.error)


def test_an_object_deleted_after_its_result_leaves_that(buckets: Any, uploads: Uploads, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    uploads.process(S3Location("uploads", "a.wav"))
    buckets.delete_object(Bucket="uploads", Key="a.wav")
    assert uploads.process(S3Location("uploads", "a.wav")).state == "unchanged"
    assert result(buckets, "results/a.wav.json")["status"] == "ok"


def test_nothing_of_ours_is_classified(
    buckets: Any, uploads: Uploads, rain: bytes, service: SharedClassifier
) -> None:
    buckets.put_object(Bucket="uploads", Key="copied.json", Body=b"{}", Metadata={"audio-classifier": "0"})
    assert uploads.process(S3Location("uploads", "copied.json")).state == "skipped"
    assert uploads.process(S3Location("results", "results/x.json")).state == "skipped"
    assert uploads.process(S3Location("uploads", "folder/")).state == "skipped"
    own = Uploads(SharedClassifier(replace(SETTINGS, results_bucket=None)))
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    stored = own.process(S3Location("uploads", "a.wav"))
    assert isinstance(stored, Stored)
    assert stored.location == S3Location("uploads", "results/a.wav.json")
    assert own.process(S3Location("uploads", "results/a.wav.json")).state == "skipped"


def test_the_prefix_may_name_the_bucket(buckets: Any, service: SharedClassifier, rain: bytes) -> None:
    buckets.create_bucket(Bucket="others")
    named = Uploads(SharedClassifier(replace(SETTINGS, results_prefix="results/{bucket}/")))
    for bucket in ("uploads", "others"):
        buckets.put_object(Bucket=bucket, Key="a.wav", Body=rain)
        assert named.process(S3Location(bucket, "a.wav")).state == "stored"
    for bucket in ("uploads", "others"):
        assert result(buckets, f"results/{bucket}/a.wav.json")["source"]["bucket"] == bucket
        assert named.process(S3Location("results", f"results/{bucket}/a.wav.json")).state == "skipped"


@pytest.mark.parametrize(
    "garbage", [b"{ half", b"[]", b"5", b'{"source": null}', b'{"source": {"last_modified": 5}}']
)
def test_a_result_that_is_garbage_is_replaced(
    buckets: Any, uploads: Uploads, rain: bytes, garbage: bytes
) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    buckets.put_object(Bucket="results", Key="results/a.wav.json", Body=garbage)
    assert uploads.process(S3Location("uploads", "a.wav")).state == "stored"
    assert result(buckets, "results/a.wav.json")["status"] == "ok"


@contextmanager
def failing(client: Any, operation: str, status: int) -> Iterator[None]:
    """Let an operation of a client fail as S3 would."""
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
def test_what_may_succeed_later_is_raised_and_nothing_is_stored(
    buckets: Any, uploads: Uploads, rain: bytes, operation: str, status: int
) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    with failing(uploads.access.client(), operation, status), pytest.raises(TransferError):
        uploads.process(S3Location("uploads", "a.wav"))
    assert buckets.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert uploads.process(S3Location("uploads", "a.wav")).state == "stored"


def test_results_may_be_encrypted_with_a_key(buckets: Any, rain: bytes) -> None:
    buckets.put_object(Bucket="uploads", Key="a.wav", Body=rain)
    Uploads(SharedClassifier(replace(SETTINGS, results_kms_key="alias/ours"))).process(
        S3Location("uploads", "a.wav")
    )
    head = buckets.head_object(Bucket="results", Key="results/a.wav.json")
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "alias/ours"


def test_one_object_that_fails_keeps_no_other_from_its_turn(
    buckets: Any, uploads: Uploads, rain: bytes
) -> None:
    for key in ("a.wav", "b.wav"):
        buckets.put_object(Bucket="uploads", Key=key, Body=rain)
    original = uploads.process

    def process(location: S3Location) -> Any:
        if location.key == "a.wav":
            raise RuntimeError("unforeseen")
        return original(location)

    uploads.process = process  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="unforeseen"):
        uploads.process_all([S3Location("uploads", "a.wav"), S3Location("uploads", "b.wav")])
    assert result(buckets, "results/b.wav.json")["status"] == "ok"
