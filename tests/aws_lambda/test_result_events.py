"""The real handler publishes results for every kind of event, and loses none when its process dies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Answer, Proxy
from tests.faults.cloud import UPLOADS, Cloud, running_cloud
from tests.faults.function import FunctionProcess
from tests.infra.templates import load
from tests.server.deployment import s3_notification
from tests.support.event_buses import EventQueue, received_events

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "infra" / "examples" / "siren.yaml"
EVENTS = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[1] / "events").glob("*.json")
}
BUS = "audio"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def queue(cloud: Cloud) -> EventQueue:
    return EventQueue(cloud.url, BUS)


def environment(cloud: Cloud, **changes: str) -> dict[str, str]:
    return {**cloud.environment, "AUDIO_CLASSIFIER_EVENT_BUS": BUS, **changes}


@pytest.fixture(scope="module")
def function(
    cloud: Cloud, queue: EventQueue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FunctionProcess]:
    function = FunctionProcess(tmp_path_factory.mktemp("function") / "log", environment(cloud))
    yield function
    function.close()


@pytest.fixture
def upload(cloud: Cloud, queue: EventQueue, assets: Path) -> Callable[[str], None]:
    """Return a function that uploads a recording of ``assets``, without its earlier result and events."""

    def put(name: str) -> None:
        queue.receive()
        cloud.s3.delete_object(Bucket="results", Key=f"results/in/{name}.json")
        cloud.s3.put_object(Bucket=UPLOADS, Key=f"in/{name}", Body=(assets / name).read_bytes())

    return put


def sqs_event(*bodies: Any) -> dict[str, Any]:
    record = EVENTS["sqs"]["Records"][0]
    records = [
        {**record, "messageId": str(number), "body": json.dumps(body)} for number, body in enumerate(bodies)
    ]
    return {"Records": records}


RAIN = s3_notification("uploads", "in/rain.wav")
SNS = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(RAIN)}}]}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(RAIN, id="S3"),
        pytest.param(SNS, id="SNS"),
        pytest.param(sqs_event(RAIN), id="SQS"),
        pytest.param(EVENTS["event_bridge"], id="EventBridge"),
        pytest.param(EVENTS["s3_batch_operation_2"], id="S3 Batch Operations"),
        pytest.param({"Items": [{"bucket": "uploads", "key": "in/rain.wav"}]}, id="Step Functions"),
    ],
)
def test_result_of_every_kind_of_event_is_published_again_when_it_is_repeated(
    function: FunctionProcess, queue: EventQueue, upload: Callable[[str], None], event: dict[str, Any]
) -> None:
    upload("rain.wav")
    function.invoke(event)
    function.invoke(event)
    first, second = (event["detail"] for event in queue.receive())
    assert first["source"]["key"] == "in/rain.wav"
    assert first["peaks"]["Rain"] > 0.5
    assert second == {**first, "repeated": True}


def test_own_event_that_a_rule_delivers_to_the_function_is_ignored(
    function: FunctionProcess, queue: EventQueue, upload: Callable[[str], None]
) -> None:
    upload("rain.wav")
    function.invoke(RAIN)
    (event,) = queue.receive()
    assert function.invoke(event) == {"status": "ok", "results": []}
    assert queue.receive() == []


class Publishing(Proxy):
    """Forward requests; call a function before the next one that publishes an event."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.before_put: Callable[[], Answer | None] | None = None

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        if b'"Entries"' in body and (call := self.before_put):
            self.before_put = None
            return call()
        return None


def test_process_that_dies_between_storing_and_publishing_loses_no_event(
    cloud: Cloud, queue: EventQueue, upload: Callable[[str], None], tmp_path: Path
) -> None:
    upload("rain.wav")
    with Publishing(cloud.url) as proxy:
        function = FunctionProcess(tmp_path / "log", environment(cloud, AWS_ENDPOINT_URL=proxy.url))

        def die() -> None:
            assert cloud.stored_result("in/rain.wav") is not None
            assert function._process
            function._process.kill()
            function._process.wait()
            raise ConnectionAbortedError

        proxy.before_put = die
        try:
            with pytest.raises(ChildProcessError):
                function.invoke(sqs_event(RAIN))
            assert queue.receive() == []
            assert function.invoke(sqs_event(RAIN)) == {"batchItemFailures": []}
        finally:
            function.close()
    (event,) = queue.receive()
    assert event["detail"]["repeated"] is True
    assert event["detail"]["peaks"]["Rain"] > 0.5


def test_only_messages_whose_results_were_not_published_return_to_the_queue(
    cloud: Cloud, queue: EventQueue, upload: Callable[[str], None], tmp_path: Path
) -> None:
    upload("rain.wav")
    upload("siren.wav")
    denied = Answer(400, b'{"__type": "AccessDeniedException", "message": "injected"}')
    with Publishing(cloud.url) as proxy:
        function = FunctionProcess(tmp_path / "log", environment(cloud, AWS_ENDPOINT_URL=proxy.url))
        proxy.before_put = lambda: denied
        try:
            event = sqs_event(RAIN, s3_notification("uploads", "in/siren.wav"))
            (failed,) = function.invoke(event)["batchItemFailures"]
            published = {event["detail"]["source"]["key"] for event in queue.receive()}
            assert len(published) == 1
            message = event["Records"][int(failed["itemIdentifier"])]
            assert function.invoke({"Records": [message]}) == {"batchItemFailures": []}
            published |= {event["detail"]["source"]["key"] for event in queue.receive()}
        finally:
            function.close()
    assert published == {"in/rain.wav", "in/siren.wav"}
    log = (tmp_path / "log").read_text()
    assert "access requires events:PutEvents" in log
    assert '"Failures"' in log


# Moto's queues accept messages without a policy.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS.*SQS.*QueuePolicy")
def test_example_selects_sirens_only(
    cloud: Cloud, function: FunctionProcess, upload: Callable[[str], None]
) -> None:
    import boto3

    options = {"endpoint_url": cloud.url, "region_name": "us-east-1"}
    options |= {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    stacks = boto3.client("cloudformation", **options)
    stacks.create_stack(
        StackName="siren",
        TemplateBody=EXAMPLE.read_text(),
        Parameters=[{"ParameterKey": "EventBusName", "ParameterValue": BUS}],
    )
    outputs = {
        one["OutputKey"]: one["OutputValue"]
        for one in stacks.describe_stacks(StackName="siren")["Stacks"][0]["Outputs"]
    }
    for name in ("rain.wav", "siren.wav", "speech.wav", "alarm.wav"):
        upload(name)
        function.invoke(s3_notification("uploads", f"in/{name}"))
    received = received_events(cloud.sqs, outputs["QueueUrl"])
    assert [event["detail"]["source"]["key"] for event in received] == ["in/siren.wav"]


def test_example_has_a_webhook_only_with_a_url() -> None:
    resources = load(EXAMPLE)["Resources"]
    conditional = {name for name, resource in resources.items() if resource.get("Condition") == "HasWebhook"}
    assert conditional == {"Connection", "Webhook", "WebhookRole"}
    (target,) = resources["Rule"]["Properties"]["Targets"]
    condition, webhook, queue = target["Fn::If"]
    assert condition == "HasWebhook"
    assert webhook["Arn"] == {"Fn::GetAtt": ["Webhook", "Arn"]}
    assert webhook["DeadLetterConfig"]["Arn"] == queue["Arn"] == {"Fn::GetAtt": ["Queue", "Arn"]}
