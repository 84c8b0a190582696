"""Tests of the chain from an upload through S3 notification, SQS and the function to the stored result."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import numpy as np
import pytest
import requests
import soundfile
from moto.server import ThreadedMotoServer

from audio_classifier.s3.client import ATTEMPTS
from tests.e2e.runtime import Function, emulator, running
from tests.e2e.unreliable import Unreliable
from tests.support.sounds import encode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
KEYS = ["plain.wav", "in/deep er/a+b.wav", "100%.wav", "ü/雨 と 雷.wav", "a&b=c;d.wav"]
MAX_RECEIVES = 5  # of which moto counts the one in the first queue
# Runs the function with a decoder that ends the process if the file begins with b"crash".
CRASHING = """
import os, runpy
from audio_classifier.inference.decoding import LocalDecoder

clip = LocalDecoder.clip

def clip_or_crash(self, source, **options):
    start = source.read(5)
    source.seek(0)
    if start == b"crash":
        os._exit(139)
    return clip(self, source, **options)

LocalDecoder.clip = clip_or_crash
runpy.run_module("audio_classifier.boot", run_name="__main__")
"""


@dataclass
class Chain:
    """A small deployment: buckets, queues for uploads, retries and dead letters, and the function."""

    s3: Any
    sqs: Any
    queue: str
    retries: str
    dead: str
    function: Function
    storage: Unreliable

    def pump(self, quiet_polls: int = 3) -> None:
        """Pass messages to the function, as event source mappings do, until both queues stay empty."""
        quiet = 0
        while quiet < quiet_polls:
            passed = [self._pass_batch(self.queue, 10), self._pass_batch(self.retries, 1)]
            quiet = 0 if any(passed) else quiet + 1
            if quiet:
                time.sleep(0.5)

    def _pass_batch(self, queue: str, size: int) -> bool:
        """Pass a batch to the function; return False if there is none."""
        batch = self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=size, AttributeNames=["All"], WaitTimeSeconds=0
        ).get("Messages", [])
        if not batch:
            return False
        answer = self.function.invoke({"Records": [record(message) for message in batch]})
        everything = [{"itemIdentifier": message["MessageId"]} for message in batch]  # if the function ended
        failed = {item["itemIdentifier"] for item in answer.get("batchItemFailures", everything)}
        for message in batch:
            handle = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            else:
                self.sqs.delete_message(**handle)
        return True

    def results(self) -> dict[str, dict[str, Any]]:
        listed = self.s3.list_objects_v2(Bucket="answers").get("Contents", [])
        return {
            item["Key"]: json.loads(self.s3.get_object(Bucket="answers", Key=item["Key"])["Body"].read())
            for item in listed
        }

    def dead_letters(self) -> list[str]:
        messages = self.sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages", [])
        return [message["Body"] for message in messages]


def record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
        "awsRegion": "us-east-1",
    }


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    with deployed(tmp_path, monkeypatch) as chain:
        yield chain


@contextmanager
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **function_options: Any) -> Iterator[Chain]:
    """Create a new deployment on its own server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "127.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=5)
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    for bucket in ("uploads", "answers"):
        s3.create_bucket(Bucket=bucket)
    dead, arn = create_queue(sqs, "dead")
    retries, arn = create_queue(sqs, "retries", target=arn, max_receives=MAX_RECEIVES)
    queue, arn = create_queue(sqs, "uploads", target=arn, max_receives=1)
    s3.put_bucket_notification_configuration(
        Bucket="uploads",
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    with Unreliable(f"http://{host}:{port}") as storage:
        settings = {"AUDIO_CLASSIFIER_RESULTS_BUCKET": "answers", "AWS_ENDPOINT_URL": storage.url}
        options = {**environment, **settings, **function_options}
        with running(tmp_path / "log", **options) as function:
            yield Chain(s3, sqs, queue, retries, dead, function, storage)
    server.stop()


def create_queue(sqs: Any, name: str, *, target: str = "", max_receives: int = 0) -> tuple[str, str]:
    """Create a queue, from which messages move to another one; return its URL and ARN."""
    redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": str(max_receives)})
    attributes = {"RedrivePolicy": redrive} if target else {}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return url, found["QueueArn"]


def test_every_upload_gets_one_result_and_poison_messages_become_dead_letters(
    chain: Chain, assets: Path
) -> None:
    recording = (assets / "rain.wav").read_bytes()
    for key in KEYS:
        chain.s3.put_object(Bucket="uploads", Key=key, Body=recording)
    chain.s3.put_object(Bucket="uploads", Key="bad.wav", Body=b"not audio")
    link = chain.s3.generate_presigned_url("put_object", {"Bucket": "uploads", "Key": "signed.wav"})
    assert requests.put(link, data=recording, timeout=10).status_code == 200
    samples, rate_hz = soundfile.read(assets / "rain.wav", dtype="float32")
    upload_in_parts(chain.s3, "parts.wav", encode(np.tile(samples, 14), rate_hz))
    for _ in range(2):  # duplicates
        chain.s3.copy_object(
            Bucket="uploads", Key=KEYS[0], CopySource=f"uploads/{KEYS[0]}", MetadataDirective="REPLACE"
        )
    chain.sqs.send_message(QueueUrl=chain.queue, MessageBody="poison")

    chain.pump()
    results = chain.results()
    wanted = {f"results/{key}.json" for key in (*KEYS, "bad.wav", "signed.wav", "parts.wav")}
    assert results.keys() == wanted
    for key, answer in results.items():
        if "bad" in key:
            assert answer["code"] == "unsupported_format"
        else:
            assert answer["status"] == "ok", answer
            assert "Rain" in [prediction["label"] for prediction in answer["predictions"]]
    assert chain.dead_letters() == ["poison"]

    before = chain.results()
    for key in KEYS:  # a second notification of each object, because S3 delivers at least once
        body = json.dumps(
            {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                          "s3": {"bucket": {"name": "uploads"}, "object": {"key": quote(key)}}}]}
        )  # fmt: skip
        chain.sqs.send_message(QueueUrl=chain.queue, MessageBody=body)
    chain.pump()
    assert chain.results() == before
    assert chain.dead_letters() == []


def test_message_is_retried_when_results_bucket_is_missing(chain: Chain, assets: Path) -> None:
    chain.s3.delete_bucket(Bucket="answers")
    chain.s3.put_object(Bucket="uploads", Key="a.wav", Body=(assets / "rain.wav").read_bytes())
    received = chain.sqs.receive_message(QueueUrl=chain.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    (message,) = (one for one in received["Messages"] if "a.wav" in one["Body"])  # not S3's test event
    answer = chain.function.invoke({"Records": [record(message)]})
    assert answer["batchItemFailures"] == [{"itemIdentifier": message["MessageId"]}]
    chain.s3.create_bucket(Bucket="answers")
    chain.pump()
    assert chain.results().keys() == {"results/a.wav.json"}
    assert chain.dead_letters() == []


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_upload_is_classified_when_s3_is_temporarily_overloaded(
    chain: Chain, assets: Path, method: str
) -> None:
    """The client retries first; when its attempts are used up, the queue delivers the message again."""
    chain.storage.refuse = {method: ATTEMPTS + 1}
    chain.s3.put_object(Bucket="uploads", Key="a.wav", Body=(assets / "rain.wav").read_bytes())
    chain.pump()
    assert chain.storage.refused == ATTEMPTS + 1
    assert chain.results()["results/a.wav.json"]["status"] == "ok"
    assert chain.dead_letters() == []


def test_slow_object_gets_an_error_result_and_delays_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assets: Path
) -> None:
    recording = (assets / "rain.wav").read_bytes()
    with deployed(tmp_path, monkeypatch, AWS_LAMBDA_FUNCTION_TIMEOUT="6") as chain:
        chain.storage.delays_s = {"GET /uploads/slow.wav": 4.5}
        for key in ("slow.wav", *KEYS):
            chain.s3.put_object(Bucket="uploads", Key=key, Body=recording)
        chain.pump()
        results = chain.results()
        assert results.keys() == {f"results/{key}.json" for key in ("slow.wav", *KEYS)}
        slow = results.pop("results/slow.wav.json")
        assert slow["code"] == "processing_failed"
        assert "received 4 times and could not be processed: the request was not served" in slow["message"]
        assert {result["status"] for result in results.values()} == {"ok"}
        assert chain.dead_letters() == []

        chain.storage.delays_s = {}
        chain.s3.put_object(Bucket="uploads", Key="slow.wav", Body=recording)
        chain.pump()
        assert chain.results()["results/slow.wav.json"]["status"] == "ok"


def test_object_that_ends_the_function_gets_an_error_result_and_becomes_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assets: Path
) -> None:
    recording = (assets / "rain.wav").read_bytes()
    (tmp_path / "crashing.py").write_text(CRASHING)
    runtime = (sys.executable, str(tmp_path / "crashing.py"))
    with deployed(tmp_path, monkeypatch, runtime=runtime) as chain:
        for key in ("crash.wav", *KEYS):
            content = b"crash" if key == "crash.wav" else recording
            chain.s3.put_object(Bucket="uploads", Key=key, Body=content)
        chain.pump()
        results = chain.results()
        crash = results.pop("results/crash.wav.json")
        assert crash["code"] == "processing_failed"
        assert "the function ended before it was processed" in crash["message"]
        assert results.keys() == {f"results/{key}.json" for key in KEYS}
        assert {result["status"] for result in results.values()} == {"ok"}
        (letter,) = chain.dead_letters()
        assert "crash.wav" in letter


def upload_in_parts(client: Any, key: str, content: bytes) -> None:
    """Upload an object in several parts, which S3 notifies with another event name."""
    started = client.create_multipart_upload(Bucket="uploads", Key=key)
    upload = {"Bucket": "uploads", "Key": key, "UploadId": started["UploadId"]}
    size = 5 << 20
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**upload, PartNumber=number, Body=content[start : start + size])[
                "ETag"
            ],
        }
        for number, start in enumerate(range(0, len(content), size), 1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
