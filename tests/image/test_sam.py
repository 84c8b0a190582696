"""Tests of `sam build`, `sam local invoke` and `sam local start-api` with the deployed template."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from devtools.ports import answers, free_port, wait_until
from tests.e2e.test_lambda import EVENTS, http_event, labels, multipart
from tests.image.container import ENGINE, Image

pytestmark = [
    pytest.mark.sam,
    pytest.mark.skipif(shutil.which("sam") is None, reason="aws-sam-cli is not installed"),
    pytest.mark.timeout(600),
]
ROOT = Path(__file__).parents[2]
SKIP = "--skip-pull-image"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
# Prints this machine's address in a container's network, which the kernel lists in little-endian hexadecimal.
GATEWAY = """
route = next(fields for fields in map(str.split, open("/proc/net/route")) if fields[1] == "00000000")
print(".".join(str(byte) for byte in reversed(bytes.fromhex(route[2]))))
"""


@pytest.fixture(scope="module")
def reachable_s3(image: Image) -> Iterator[str]:
    """Run moto's S3 server at an address that containers can reach through their bridge network."""
    command = [ENGINE, "run", "--rm", "--no-healthcheck", "--network", "bridge", "--entrypoint", "python3"]
    run = subprocess.run([*command, image.name, "-c", GATEWAY], capture_output=True, text=True, check=True)
    server = ThreadedMotoServer(ip_address=run.stdout.strip(), port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def template(reachable_s3: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the template with `sam build`, and add the endpoint of S3 to its environment variables."""
    build = tmp_path_factory.mktemp("sam")
    base = os.environ.get("BASE_IMAGE")
    options = ["--parameter-overrides", f"BaseImage={base}"] if base else []
    sam("build", "--template", str(ROOT / "template.yaml"), "--build-dir", str(build), *options)
    built = build / "template.yaml"
    variable = "        AUDIO_CLASSIFIER_RESULTS_BUCKET:"
    text = built.read_text()
    assert text.count(variable) == 1
    built.write_text(text.replace(variable, f"        AWS_ENDPOINT_URL: {reachable_s3}\n{variable}"))
    return built


@pytest.fixture
def uploaded(reachable_s3: str, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Create one upload and no results; SAM names the template's buckets after their logical ids locally."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3", endpoint_url=reachable_s3)
    for name in ("uploads", "ResultsBucket"):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket="uploads", Key="in/rain.wav", Body=(assets / "rain.wav").read_bytes())
    return s3


def environment() -> dict[str, str]:
    return {**os.environ, **CREDENTIALS, "SAM_CLI_TELEMETRY": "0"}


def sam(*arguments: str) -> str:
    run = subprocess.run(["sam", *arguments], capture_output=True, text=True, env=environment(), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def invoke(template: Path, function: str, event: Any, folder: Path) -> Any:
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    answer = sam("local", "invoke", function, "--template", str(template), "--event", str(path), SKIP)
    return json.loads(answer.splitlines()[-1])


@pytest.mark.parametrize("kind", ["s3", "sqs", "event_bridge", "s3_batch_operation_2"])
def test_upload_event_stores_a_result(template: Path, uploaded: Any, tmp_path: Path, kind: str) -> None:
    event = EVENTS[kind]
    if kind == "sqs":
        record = {**event["Records"][0], "body": json.dumps(EVENTS["s3"])}
        event = {"Records": [record]}
    answer = invoke(template, "UploadFunction", event, tmp_path)
    assert "error" not in json.dumps(answer).lower()
    (stored,) = uploaded.list_objects_v2(Bucket="ResultsBucket")["Contents"]
    result = json.loads(uploaded.get_object(Bucket="ResultsBucket", Key=stored["Key"])["Body"].read())
    assert "Rain" in labels(result)
    uploaded.delete_object(Bucket="ResultsBucket", Key=stored["Key"])


@pytest.mark.parametrize("kind", ["http_api", "rest_api", "function_url", "load_balancer"])
def test_http_event_returns_predictions(template: Path, assets: Path, tmp_path: Path, kind: str) -> None:
    event = http_event(kind, multipart((assets / "rain.wav").read_bytes()))
    answer = invoke(template, "ApiFunction", event, tmp_path)
    assert "Rain" in labels(json.loads(answer["body"]))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_sam_local_invoke_command_of_the_readme_works(template: Path) -> None:
    text = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^(base64 .* sam local invoke .*)$", text, re.MULTILINE)
    run = subprocess.run(
        f"{command} --template {template} {SKIP}",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert "Rain" in labels(json.loads(run.stdout.splitlines()[-1]))


def test_sam_local_start_api_serves_predictions_and_pages(
    template: Path, assets: Path, tmp_path: Path
) -> None:
    port = free_port()
    options = ["--template", str(template), "--port", str(port), "--warm-containers", "EAGER", SKIP]
    with (tmp_path / "log").open("wb") as log:
        command = ["sam", "local", "start-api", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
    url = f"http://127.0.0.1:{port}"
    try:
        healthy = f"{url}/healthz"
        wait_until(lambda: answers(healthy), alive=lambda: process.poll() is None, timeout_s=120)
        with (assets / "rain.wav").open("rb") as file:
            answer = requests.post(f"{url}/model/predict", files={"audio": file}, timeout=60)
        assert "Rain" in labels(answer.json())
        assert "swagger-ui-bundle.js" in requests.get(url, timeout=60).text
    finally:
        process.terminate()
        process.wait(60)
