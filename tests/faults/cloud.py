"""Moto's S3 and SQS with buckets, a queue and a dead-letter queue, as the template creates them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

UPLOADS: Final = "uploads"
RESULTS: Final = "results"
MAX_RECEIVES: Final = 5
VISIBILITY_S: Final = 120
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "no_proxy": "127.0.0.1",
}


class Cloud:
    """Clients of a deployment's services, each of which any thread may use.

    Attributes
    ----------
    url
        The URL of S3 and SQS.
    environment
        The variables of a function or server that uses them.
    """

    def __init__(self, url: str) -> None:
        import boto3
        from botocore.config import Config

        self.url = url
        self.environment = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": url,
            "AUDIO_CLASSIFIER_UPLOADS_BUCKET": UPLOADS,
            "AUDIO_CLASSIFIER_UPLOADS_PREFIX": "in/",
            "AUDIO_CLASSIFIER_RESULTS_BUCKET": RESULTS,
        }
        options: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
            "config": Config(proxies={}, max_pool_connections=20),
        }
        self.s3, self.sqs = boto3.client("s3", **options), boto3.client("sqs", **options)
        for bucket in (UPLOADS, RESULTS):
            self.s3.create_bucket(Bucket=bucket)
        self.dead, dead_arn = self._create_queue("dead", {})
        redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(MAX_RECEIVES)}
        attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": str(VISIBILITY_S)}
        self.queue, arn = self._create_queue("uploads", attributes)
        configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        self.s3.put_bucket_notification_configuration(Bucket=UPLOADS, NotificationConfiguration=configuration)

    def receive(self, count: int) -> list[dict[str, Any]]:
        """Receive up to ten messages; they are invisible until they are deleted or returned."""
        response = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=count, AttributeNames=["All"], WaitTimeSeconds=0
        )
        messages: list[dict[str, Any]] = response.get("Messages", [])
        return messages

    def delete(self, message: dict[str, Any]) -> None:
        """Delete a message that was processed."""
        self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def return_message(self, message: dict[str, Any]) -> None:
        """Make a message visible again."""
        self.sqs.change_message_visibility(
            QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    def stored_result(self, key: str) -> dict[str, Any] | None:
        """Return the stored result of an upload; None if there is none."""
        try:
            answer = self.s3.get_object(Bucket=RESULTS, Key=f"results/{key}.json")
        except self.s3.exceptions.NoSuchKey:
            return None
        result: dict[str, Any] = json.loads(answer["Body"].read())
        return result

    def count_dead_letters(self) -> int:
        """Return the number of messages in the dead-letter queue."""
        return self._count(self.dead, "ApproximateNumberOfMessages")

    def is_drained(self) -> bool:
        """Return whether the queue has no message, visible or not."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return not any(self._count(self.queue, name) for name in names)

    def _count(self, queue: str, name: str) -> int:
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _create_queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """Run the services in this process, empty."""
    import requests
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        requests.post(f"{url}/moto-api/reset", timeout=10)
        yield Cloud(url)
    finally:
        server.stop()


def sqs_record(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as Lambda passes it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
        "awsRegion": "us-east-1",
    }
