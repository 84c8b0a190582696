"""Event buses of moto whose events are delivered to a queue."""

from __future__ import annotations

import json
from typing import Any, Final

ALL_RESULTS: Final = {"source": ["audio-classifier"]}


class EventQueue:
    """A bus with one rule, and a queue that receives the events that match it.

    Attributes
    ----------
    bus
        The name of the bus.
    """

    def __init__(self, url: str, bus: str, pattern: Any = ALL_RESULTS) -> None:
        import boto3

        options = {"endpoint_url": url, "region_name": "us-east-1"}
        options |= {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.bus = bus
        self.events, self._sqs = boto3.client("events", **options), boto3.client("sqs", **options)
        self.events.create_event_bus(Name=bus)
        self._queue = self._sqs.create_queue(QueueName=f"events-of-{bus}")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self.events.put_rule(Name="rule", EventBusName=bus, EventPattern=json.dumps(pattern))
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        self.events.put_targets(Rule="rule", EventBusName=bus, Targets=[target])

    def receive(self) -> list[dict[str, Any]]:
        """Return the events that were delivered since the last call."""
        return received_events(self._sqs, self._queue)


def received_events(sqs: Any, queue: str) -> list[dict[str, Any]]:
    """Receive all messages of a queue; return the events in them."""
    events: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            events.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return events
