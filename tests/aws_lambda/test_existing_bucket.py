"""Uploads to an existing bucket reach the function through EventBridge and the queue of the template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.faults.cloud import Cloud, running_cloud
from tests.faults.function import FunctionProcess
from tests.infra.templates import IMAGE

BUCKET, RESULTS, PREFIX = "existing", "given-results", "sounds/"
OPTIONS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "testing",
    "aws_secret_access_key": "testing",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def function(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionProcess]:
    variables = {
        **cloud.environment,
        "AUDIO_CLASSIFIER_RESULTS_BUCKET": RESULTS,
        "AUDIO_CLASSIFIER_RESULTS_PREFIX": f"{PREFIX}{{bucket}}/",
    }
    function = FunctionProcess(tmp_path_factory.mktemp("function") / "log", variables)
    yield function
    function.close()


def test_upload_to_the_existing_bucket_is_classified_and_results_in_it_are_not(
    cloud: Cloud, function: FunctionProcess, assets: Path
) -> None:
    rule = IMAGE["Resources"]["ExistingUploadsRule"]["Properties"]
    pattern = json.loads(
        json.dumps(rule["EventPattern"]).replace('{"Ref": "ExistingUploadsBucket"}', json.dumps(BUCKET))
    )
    events = boto3.client("events", endpoint_url=cloud.url, **OPTIONS)
    sqs = boto3.client("sqs", endpoint_url=cloud.url, **OPTIONS)
    queue = sqs.create_queue(QueueName="existing-uploads")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="existing", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="existing", Targets=[{"Id": "uploads", "Arn": arn}])
    for name in (BUCKET, RESULTS, "other"):
        cloud.s3.create_bucket(Bucket=name)
        # moto's events have an id of a version, which only a bucket with versions accepts.
        cloud.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        cloud.s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    rain = (assets / "rain.wav").read_bytes()
    cloud.s3.put_object(Bucket="other", Key="rain.wav", Body=rain)
    cloud.s3.put_object(Bucket=BUCKET, Key="in/a b.wav", Body=rain)
    # A result of the function, which is stored in the same bucket.
    cloud.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}a.json", Body=b"{}", Metadata={"audio-classifier": "1"})

    messages = received(sqs, queue)
    assert [json.loads(one["Body"])["detail"]["object"]["key"] for one in messages] == [
        "in/a b.wav",
        f"{PREFIX}a.json",
    ]
    record = {"eventSource": "aws:sqs", "attributes": {"ApproximateReceiveCount": "1"}}
    answer = function.invoke(
        {
            "Records": [
                {**record, "messageId": one["MessageId"], "body": one["Body"], "eventSourceARN": arn}
                for one in messages
            ]
        }
    )
    assert answer == {"batchItemFailures": []}
    listed = cloud.s3.list_objects_v2(Bucket=RESULTS)["Contents"]
    assert [item["Key"] for item in listed] == [f"{PREFIX}{BUCKET}/in/a b.wav.json"]
    result = json.loads(cloud.s3.get_object(Bucket=RESULTS, Key=listed[0]["Key"])["Body"].read())
    assert "Rain" in [prediction["label"] for prediction in result["predictions"]]


def received(sqs: Any, queue: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        messages += found
        for one in found:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
    return messages
