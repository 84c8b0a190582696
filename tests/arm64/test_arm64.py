"""The function gives the same answers on arm64 and on older x86-64 CPUs as on this machine.

The documented limits are those of docs/models.md, "The same answers on every CPU".
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.arm64.conftest import Computed
from tests.arm64.emulated import CPUS, GRAVITON2, Cpu
from tests.aws_lambda.http_events import http_event
from tests.aws_lambda.test_lambda_handler import ENVIRONMENT, LOOP

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(3000)]
MAX_DIFFERENCE = 0.01
MAX_DIFFERENCE_FLOAT32 = 1e-4
on_every_cpu = pytest.mark.parametrize("cpu", CPUS, ids=str)


@on_every_cpu
def test_xnnpack_computes_the_network(computed: Computed, cpu: Cpu) -> None:
    assert "without XNNPACK" not in computed.errors[cpu]


@on_every_cpu
def test_log_mels_of_the_built_in_bundle_are_equal(computed: Computed, cpu: Cpu) -> None:
    for number, sound in enumerate(computed.sounds):
        key = f"log_mel 0 {number}"
        assert np.array_equal(computed.emulated[cpu][key], computed.here[key]), sound


@on_every_cpu
def test_probabilities_of_the_built_in_bundle_differ_by_at_most_a_hundredth(
    computed: Computed, cpu: Cpu, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, found = computed.here["probabilities 0"], computed.emulated[cpu]["probabilities 0"]
    largest = float(np.abs(found - expected).max())
    with capsys.disabled():
        print(f" largest difference of a probability: {largest:.1e}, {len(expected)} sounds ", end="")
    assert largest <= MAX_DIFFERENCE


@on_every_cpu
def test_order_of_the_top_five_is_the_same(computed: Computed, cpu: Cpu) -> None:
    rows = zip(computed.here["probabilities 0"], computed.emulated[cpu]["probabilities 0"], strict=True)
    for sound, (expected, found) in zip(computed.sounds, rows, strict=True):
        top = np.argsort(-expected, kind="stable")[:5]
        apart = -np.diff(expected[top]) > MAX_DIFFERENCE
        assert (np.diff(found[top])[apart] < 0).all(), sound
        others = np.delete(found, top)
        if expected[top[-1]] - np.delete(expected, top).max() > MAX_DIFFERENCE:
            assert found[top[-1]] > others.max(), sound


@on_every_cpu
def test_efficientat_differs_only_by_rounding(
    computed: Computed, golden_data: Path, cpu: Cpu, capsys: pytest.CaptureFixture[str]
) -> None:
    if "probabilities 1" not in computed.here:
        pytest.skip("the published weights of mn04 are not available on this machine")
    difference = np.abs(computed.emulated[cpu]["probabilities 1"] - computed.here["probabilities 1"])
    with capsys.disabled():
        print(f" largest difference of a probability: {float(difference.max()):.1e} ", end="")
    assert difference.max() <= MAX_DIFFERENCE_FLOAT32


def test_command_line_prints_what_it_prints_here(root: Path, assets: Path) -> None:
    command = ["-m", "audio_classifier", "classify", "--format", "json", "--top-k", "527"]
    command += [str(assets / "rain.wav"), str(assets / "town.wav")]
    printed, _ = GRAVITON2.run(*command)
    here = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout
    files, expected_files = json.loads(printed), json.loads(here)
    assert len(files) == len(expected_files) == 2
    for file, expected in zip(files, expected_files, strict=True):
        assert_same_answer(file, expected)


def test_handler_answers_an_event_of_api_gateway_as_it_does_here(root: Path, assets: Path) -> None:
    body = base64.b64encode((assets / "rain.wav").read_bytes()).decode()
    event = http_event("http_api", "POST", "/model/predict", body=body, isBase64Encoded=True)
    line = json.dumps([event, 60]) + "\n"
    printed, _ = GRAVITON2.run("-c", LOOP, stdin=line, **ENVIRONMENT)
    environment = {**os.environ, **ENVIRONMENT}
    here = subprocess.run(
        [sys.executable, "-c", LOOP], env=environment, input=line, capture_output=True, text=True, check=True
    )
    answer, expected = (response(text) for text in (printed, here.stdout))
    assert answer["statusCode"] == expected["statusCode"] == 200
    assert_same_answer(json.loads(answer["body"]), json.loads(expected["body"]))


def response(output: str) -> Any:
    """Return the handler's response from the output of `LOOP`."""
    (outcome,) = (line for line in output.splitlines() if line.startswith("outcome "))
    return json.loads(outcome.removeprefix("outcome "))["response"]


def assert_same_answer(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare two answers, and their probabilities within the documented limit."""
    probabilities, expected_probabilities = (
        {prediction["label_id"]: prediction["probability"] for prediction in answer["predictions"]}
        for answer in (found, expected)
    )
    assert probabilities == pytest.approx(expected_probabilities, abs=MAX_DIFFERENCE)
    assert found | {"predictions": None} == expected | {"predictions": None}
