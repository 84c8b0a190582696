from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.aws_lambda.tracing import DAEMON_VARIABLE, TRACE_VARIABLE, Traces
from audio_classifier.service.log_context import add_log_fields
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier

ROOT, PARENT = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
TRACE = f"Root={ROOT};Parent={PARENT};Sampled=1;Lineage=1:a87bd80c:0"


class Daemon:
    """Receives what the daemon of X-Ray would receive."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        host, port = listener.getsockname()
        self.address = f"{host}:{port}"

    def subsegments(self) -> list[dict[str, Any]]:
        """Return what was received since the last call."""
        received: list[dict[str, Any]] = []
        while True:
            try:
                header, document = self._listener.recv(1 << 16).split(b"\n")
            except TimeoutError:
                return received
            assert json.loads(header) == {"format": "json", "version": 1}
            received.append(json.loads(document))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.2)
        started = Daemon(listener)
        monkeypatch.setenv(DAEMON_VARIABLE, started.address)
        monkeypatch.setenv(TRACE_VARIABLE, TRACE)
        yield started


def test_stages_of_a_clip_follow_each_other_below_the_invocation(
    daemon: Daemon, classifier: AudioClassifier, assets: Path
) -> None:
    begin_s = time.time()
    classification = classifier.classify(assets / "rain.wav")
    context = copy_context()
    context.run(add_log_fields, object="s3://b/k")
    context.run(Traces().clip_classified, classification)
    sent = sorted(daemon.subsegments(), key=lambda subsegment: float(subsegment["start_time"]))
    assert [subsegment["name"] for subsegment in sent] == ["read", "features", "embedding", "head"]
    for subsegment, following in zip(sent, [*sent[1:], None], strict=True):
        assert (subsegment["type"], subsegment["trace_id"], subsegment["parent_id"]) == (
            "subsegment",
            ROOT,
            PARENT,
        )
        assert re.fullmatch("[0-9a-f]{16}", subsegment["id"])
        seconds = subsegment["end_time"] - subsegment["start_time"]
        assert seconds == pytest.approx(classification.seconds[subsegment["name"]], abs=1e-5)
        assert subsegment["end_time"] == pytest.approx(
            following["start_time"] if following else time.time(), abs=2
        )
        assert subsegment["metadata"] == {"audio_classifier": {"object": "s3://b/k"}}
    assert begin_s - 0.1 < sent[0]["start_time"]
    assert len({subsegment["id"] for subsegment in sent}) == len(sent)


def test_other_stages_are_sent_with_their_time(daemon: Daemon) -> None:
    shared = SharedClassifier(Settings.from_environment({}))
    shared.observe(Traces())
    with shared.timed("store"):
        time.sleep(0.05)
    (sent,) = daemon.subsegments()
    assert sent["name"] == "store"
    assert sent["end_time"] - sent["start_time"] >= 0.05


@pytest.mark.parametrize(
    "trace",
    [
        "",
        f"Root={ROOT};Parent={PARENT};Sampled=0",
        f"Root={ROOT};Parent={PARENT}",
        f"Root={ROOT};Sampled=1",
        "nonsense",
    ],
)
def test_invocation_that_is_not_sampled_sends_nothing(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    monkeypatch.setenv(TRACE_VARIABLE, trace)
    Traces().stage_ended("store", 1)
    assert daemon.subsegments() == []


@pytest.mark.parametrize(
    "address", [None, "", "nonsense", "127.0.0.1:", "127.0.0.1:1", "no.such.host.invalid:1"]
)
def test_daemon_that_does_not_answer_is_ignored(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    if address is None:
        monkeypatch.delenv(DAEMON_VARIABLE)
    else:
        monkeypatch.setenv(DAEMON_VARIABLE, address)
    for _ in range(3):
        Traces().stage_ended("store", 1)
    assert daemon.subsegments() == []


HANDLE = """
import base64, sys
from types import SimpleNamespace
from audio_classifier.lambda_handler import handler

names = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")
context = SimpleNamespace(**dict.fromkeys(names, "x"), get_remaining_time_in_millis=lambda: 60_000)
with open(sys.argv[1], "rb") as file:
    event = {"audio_base64": base64.b64encode(file.read()).decode()}
assert handler(event, context)["status"] == "ok"
assert handler({**event, "timeline": True}, context)["status"] == "ok"
"""


def test_function_sends_the_stages_of_its_work(daemon: Daemon, assets: Path) -> None:
    environment = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "x"}
    command = [sys.executable, "-c", HANDLE, str(assets / "rain.wav")]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    names = [subsegment["name"] for subsegment in daemon.subsegments()]
    assert sorted(names) == ["analyze", "embedding", "features", "head", "read"]
