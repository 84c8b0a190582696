"""Tests that invocations of the function log and count as much as the costs in docs/costs.md assume."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.material import http_event, write_ten_seconds
from benchmarks.monthly_costs import LOG_BYTES, LOG_LINE_BYTES, METRICS
from benchmarks.paths import Paths
from tests.e2e.runtime import Function, emulator, running
from tests.e2e.test_chain import deployed
from tests.infra.templates import IMAGE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
# Lambda adds this line with active tracing, which the emulator does not have.
TRACE = "XRAY TraceId: 1-00000000-000000000000000000000000\tSegmentId: 0000000000000000\tSampled: true"


def charged_bytes(lines: list[str]) -> int:
    return sum(len(line.encode()) + LOG_LINE_BYTES for line in lines)


def access_log() -> str:
    """Return a line of the access log with values of usual lengths."""
    template: str = IMAGE["Mappings"]["AccessLog"]["Format"]["Json"]
    names: dict[str, str] = json.loads(template)
    return json.dumps(dict.fromkeys(names, "27/Nov/2026:18:00:00 +0000"))


def test_request_logs_and_counts_no_more_than_the_costs_assume(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_ten_seconds(paths)
    event = http_event(paths.ten_seconds.read_bytes())
    with running(tmp_path / "log", AUDIO_CLASSIFIER_WARM_UP="http") as function:
        for _ in range(2):
            assert function.invoke(event)["statusCode"] == 200
        cold, warm = invocations(function)
    assert 0.7 * LOG_BYTES["api"] < charged_bytes([*warm, TRACE, access_log()]) <= LOG_BYTES["api"]
    assert len({*metrics(cold), *metrics(warm)}) == METRICS


def test_upload_logs_and_counts_no_more_than_the_costs_assume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assets: Path
) -> None:
    with deployed(tmp_path, monkeypatch, AUDIO_CLASSIFIER_WARM_UP="uploads") as chain:
        for name in ("one", "two"):
            key = f"uploads/{name:x<32}"  # as long as the key of a form
            chain.s3.put_object(Bucket="uploads", Key=key, Body=(assets / "rain.wav").read_bytes())
            chain.pump(1)
        *_, cold, warm = invocations(chain.function)
    assert 0.7 * LOG_BYTES["uploads"] < charged_bytes([*warm, TRACE]) <= LOG_BYTES["uploads"]
    assert len({*metrics(cold), *metrics(warm)}) <= METRICS


def invocations(function: Function) -> list[list[str]]:
    """Return the lines that would go to CloudWatch, by invocation."""
    lines = function.log.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if "(rapid)" not in line]  # the emulator's own lines
    starts = [at for at, line in enumerate(lines) if line.startswith("START ")]
    return [lines[begin:end] for begin, end in pairwise([*starts, len(lines)])]


def metrics(lines: list[str]) -> list[Any]:
    documents = [json.loads(line) for line in lines if line.startswith('{"_aws"')]
    return [metric["Name"] for one in documents for metric in one["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
