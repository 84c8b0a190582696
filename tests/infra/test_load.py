"""Tests of the load test: its requests, how it counts responses, and short runs against servers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from devtools.background import BackgroundServer, QuietServer
from devtools.ports import answers, free_port, wait_until
from infra.load.access import authoriser
from infra.load.mix import PAGES, Mix, Outcome, Request, Stage, outcome, parse_stages, users_at

ROOT: Final = Path(__file__).parents[2]
KEYS: Final = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}
API: Final = "https://abc.execute-api.eu-west-1.amazonaws.com"
PREDICT: Final = Request("predict", "POST", "/model/predict", b"body")


def send(url: str, request: Request) -> int:
    url += request.path
    return requests.request(
        request.method, url, data=request.body, headers=request.headers, timeout=30
    ).status_code


@pytest.mark.parametrize("kind", Mix.WEIGHTS)
def test_server_answers_each_request_of_the_mix_as_expected(kind: str, url: str) -> None:
    mix = Mix()
    sent = {(one.name, one.path): one for one in (mix.of_kind(kind) for _ in range(100))}
    assert len(sent) == {"bad": 3, "page": len(PAGES)}.get(kind, 1)
    for request in sent.values():
        assert send(url, request) in request.expected, request.name


def test_body_of_ten_seconds_is_stereo_and_has_four_units_of_an_http_api() -> None:
    body = Mix().of_kind("ten_seconds").body
    with wave.open(BytesIO(body)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 44_100, 441_000)
    assert 3 < len(body) / (512 << 10) <= 4


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Outcome("predict")),
        (429, {}, Outcome("refused: 429")),
        (503, {"retry-after": "1"}, Outcome("refused: 503")),
        (503, {"Retry-After": "1"}, Outcome("refused: 503")),
        (503, {}, Outcome("predict", "expected status 200, got 503")),
        (400, {}, Outcome("predict", "expected status 200, got 400")),
    ],
)
def test_response_is_expected_refused_or_a_failure(
    status: int, headers: dict[str, str], expected: Outcome
) -> None:
    assert outcome(PREDICT, status, headers) == expected


def test_success_of_a_bad_request_is_a_failure() -> None:
    bad = Request("bad", "POST", "/model/predict", expected={400, 422})
    assert outcome(bad, 400, {}).failure == ""
    assert outcome(bad, 200, {}).failure == "expected status 400 or 422, got 200"


def test_stages_are_durations_with_numbers_of_users() -> None:
    stages = parse_stages("30s:2, 2m:8,1h:1")
    assert stages == [Stage(30, 2), Stage(120, 8), Stage(3600, 1)]
    assert [users_at(stages, at) for at in (0, 29.9, 30, 149, 151, 3749, 3750)] == [2, 2, 8, 8, 1, 1, None]


@pytest.mark.parametrize("text", ["", "2m", "2m:", ":4", "2:4", "2d:4", "0s:4", "2m:0", "2m:4,", "-2m:4"])
def test_malformed_stages_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s:2,2m:8"):
        parse_stages(text)


def test_token_is_sent_as_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="environment variable LOAD_TOKEN, got none"):
        authoriser("JWT", API, None)
    monkeypatch.setenv("LOAD_TOKEN", "t")
    assert authoriser("JWT", API, None)(PREDICT, f"{API}/") == {"Authorization": "Bearer t"}


def test_signing_needs_credentials_and_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass --region, because http://localhost"):
        authoriser("IAM", "http://localhost", None)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ValueError, match="needs AWS credentials, got none"):
        authoriser("IAM", API, None)


def test_region_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    headers = authoriser("IAM", API, None)(PREDICT, f"{API}/model/predict")
    assert "/eu-west-1/execute-api/aws4_request" in headers["Authorization"]


def signature(method: str, url: str, headers: Any, body: bytes) -> str:
    """Return the signature that a received request must have."""
    signed = headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    credentials = Credentials(*KEYS.values())
    request = AWSRequest(method, url, {name: headers[name] for name in signed}, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    auth = SigV4Auth(credentials, "execute-api", "eu-west-1")
    return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


class Gateway(BackgroundServer):
    """Answers each request with a status, or with 403 if it is not signed correctly.

    Attributes
    ----------
    requests
        The number of requests.
    """

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.requests = 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                gateway.requests += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = f"http://{self.headers['Host']}{self.path}"
                answered = status
                if "Authorization" in self.headers:
                    expected = signature(self.command, url, self.headers, body)
                    answered = 200 if self.headers["Authorization"].endswith(f"={expected}") else 403
                    # The bad requests of the mix are expected to fail.
                    if answered == 200 and b"no audio" in body:
                        answered = 400
                self.send_response(answered)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(QuietServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}"


def locust(
    url: str, *options: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run a short load test; return its process, and the rows of its report by name."""
    program = shutil.which("locust")
    if program is None:
        pytest.skip("locust is not installed: run these tests with `make load-quick`")
    command = [program, "-f", "infra/load/locustfile.py", "--headless", "--json", "--stop-timeout", "30"]
    variables = {"PYTHONPATH": ".", "PATH": "/usr/bin:/bin", "no_proxy": "127.0.0.1", **environment}
    run = subprocess.run(
        [*command, "--host", url, *options],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    start = run.stdout.find("[")
    rows = json.loads(run.stdout[start : run.stdout.rindex("]") + 1]) if start >= 0 else []
    return run, {row["name"]: row for row in rows}


@pytest.mark.load
def test_short_run_against_a_server_has_no_failures(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "audio_classifier", "serve", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), alive=lambda: server.poll() is None)
        run, rows = locust(f"http://127.0.0.1:{port}", "--stages", "2s:1,5s:4")
    finally:
        server.terminate()
        server.wait(30)
    assert run.returncode == 0, run.stdout + run.stderr
    assert sum(row["num_requests"] for row in rows.values()) >= 10
    assert sum(row["num_failures"] for row in rows.values()) == 0
    assert "predict, 1.8 MB" in rows


@pytest.mark.load
def test_signatures_are_those_of_the_requests_that_arrive() -> None:
    with Gateway() as gateway:
        _, rows = locust(gateway.url, "--stages", "3s:4", "--access", "IAM", "--region", "eu-west-1", **KEYS)
    assert gateway.requests >= 10
    names = {"predict, 1.8 MB", "predict, small form", "timeline, 18 s", "page", "bad: not audio"}
    assert names & rows.keys() >= {"predict, 1.8 MB", "page"}
    assert sum(rows[name]["num_failures"] for name in names & rows.keys()) == 0


@pytest.mark.load
@pytest.mark.parametrize(("status", "headers"), [(429, {}), (503, {"Retry-After": "1"})])
def test_refused_requests_are_counted_apart(status: int, headers: dict[str, str]) -> None:
    with Gateway(status, headers) as gateway:
        run, rows = locust(gateway.url, "--stages", "2s:2", "--pause", "0.1")
    assert rows.keys() == {f"refused: {status}"}
    assert rows[f"refused: {status}"]["num_failures"] == 0
    assert run.returncode == 1
    assert "expected at least one request to be answered" in run.stdout


@pytest.mark.load
def test_unexpected_statuses_are_failures() -> None:
    with Gateway(500) as gateway:
        run, rows = locust(gateway.url, "--stages", "2s:2", "--pause", "0.1")
    assert run.returncode == 1
    assert all(row["num_failures"] == row["num_requests"] for row in rows.values())


@pytest.mark.load
def test_deployment_that_cannot_be_reached_is_a_failure() -> None:
    run, rows = locust(f"http://127.0.0.1:{free_port()}", "--stages", "2s:1", "--pause", "0.1")
    assert run.returncode == 1
    assert all(row["num_failures"] == row["num_requests"] > 0 for row in rows.values())


@pytest.mark.load
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stages", "5"), "stages must be durations"),
        (("--access", "JWT"), "environment variable LOAD_TOKEN"),
        (("--access", "IAM"), "pass --region"),
    ],
)
def test_wrong_options_are_refused_before_the_first_request(options: tuple[str, ...], message: str) -> None:
    with Gateway() as gateway:
        run, _ = locust(gateway.url, *options)
    assert run.returncode == 1
    assert message in run.stderr
    assert gateway.requests == 0
