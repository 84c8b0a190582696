"""`sam build`, `sam local invoke` and `sam local start-api` on the template that is deployed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.test_lambda import EVENTS, http_event, labels
from tests.ports import answers, free_port, wait_until

pytestmark = [
    pytest.mark.sam,
    pytest.mark.skipif(shutil.which("sam") is None, reason="aws-sam-cli is not installed"),
    pytest.mark.timeout(600),
]
ROOT = Path(__file__).parents[2]
LOCALLY = ("--docker-network", "host", "--skip-pull-image")


@pytest.fixture(scope="module")
def template(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as `sam build` leaves it, and one variable more: where S3 is."""
    build = tmp_path_factory.mktemp("sam")
    sam("build", "--template", str(ROOT / "template.yaml"), "--build-dir", str(build))
    built = build / "template.yaml"
    variable = "        AUDIO_CLASSIFIER_RESULTS_BUCKET:"
    text = built.read_text()
    assert text.count(variable) == 1
    built.write_text(text.replace(variable, f"        AWS_ENDPOINT_URL: {s3_endpoint}\n{variable}"))
    return built


@pytest.fixture
def uploaded(s3: Any, assets: Path) -> Any:
    """A sound in S3, no result yet; the template's buckets are called so locally."""
    for name in ("uploads", "ResultsBucket"):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket="uploads", Key="in/rain.wav", Body=(assets / "rain.wav").read_bytes())
    return s3


def command(*arguments: str) -> list[str]:
    return ["sam", *arguments]


def environment() -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    return {**os.environ, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"}


def sam(*arguments: str) -> str:
    run = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment(), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def invoke(template: Path, function: str, event: Any, folder: Path) -> Any:
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    answer = sam("local", "invoke", function, "--template", str(template), "--event", str(path), *LOCALLY)
    return json.loads(answer.splitlines()[-1])


@pytest.mark.parametrize("kind", ["s3", "sqs", "event_bridge", "s3_batch_operation_2"])
def test_events_of_uploads(template: Path, uploaded: Any, tmp_path: Path, kind: str) -> None:
    event = EVENTS[kind]
    if kind == "sqs":
        record = {**event["Records"][0], "body": json.dumps(EVENTS["s3"])}
        event = {"Records": [record]}
    answer = invoke(template, "UploadFunction", event, tmp_path)
    assert "error" not in json.dumps(answer).lower()
    (result,) = uploaded.list_objects_v2(Bucket="ResultsBucket")["Contents"]
    heard = json.loads(uploaded.get_object(Bucket="ResultsBucket", Key=result["Key"])["Body"].read())
    assert "Rain" in labels(heard)
    uploaded.delete_object(Bucket="ResultsBucket", Key=result["Key"])


@pytest.mark.parametrize("kind", ["http_api", "rest_api", "function_url", "load_balancer"])
def test_requests_as_events(template: Path, assets: Path, tmp_path: Path, kind: str) -> None:
    sound = (assets / "rain.wav").read_bytes()
    form = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="r.wav"\r\n\r\n'
    event = http_event(kind, form + sound + b"\r\n--b--\r\n")
    answer = invoke(template, "ApiFunction", event, tmp_path)
    assert "Rain" in labels(json.loads(answer["body"]))


def test_a_local_api(template: Path, assets: Path, tmp_path: Path) -> None:
    port = free_port()
    options = ["--template", str(template), "--port", str(port), "--warm-containers", "EAGER", *LOCALLY]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command("local", "start-api", *options), stdout=log, stderr=log, env=environment()
        )
    url = f"http://127.0.0.1:{port}"
    try:
        alive = lambda: process.poll() is None  # noqa: E731
        wait_until(lambda: answers(f"{url}/healthz"), alive=alive, timeout_s=120)
        with (assets / "rain.wav").open("rb") as sound:
            answer = requests.post(f"{url}/model/predict", files={"audio": sound}, timeout=60)
        assert "Rain" in labels(answer.json())
        assert "SwaggerUIBundle" in requests.get(url, timeout=60).text
    finally:
        process.terminate()
        process.wait(60)
