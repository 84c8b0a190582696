"""What may be loaded when: cold starts are paid for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "function" / "audio_classifier"
HEAVY = {
    *("tensorflow", "h5py", "numba", "llvmlite", "resampy", "scipy", "pandas", "matplotlib"),
    *("boto3", "botocore", "urllib3", "fastapi", "mangum", "rich"),
}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import audio_classifier",
        "import audio_classifier.cli.parser; audio_classifier.cli.parser.build_parser()",
        "from audio_classifier import AudioClassifier; AudioClassifier.open().predict({wav!r})",
        "from audio_classifier.cli.parser import main; main(['classify', {wav!r}])",
    ],
)
def test_nothing_heavy_is_loaded(code: str, assets: Path) -> None:
    assert modules_after(code.format(wav=str(assets / "rain.wav"))) & HEAVY == set()


def test_the_command_line_alone_loads_no_engine() -> None:
    code = "import sys; sys.argv = ['audio-classifier', 'labels', '--search', 'rain']\n"
    code += "from audio_classifier.cli.parser import main; main()"
    assert {"rich", "boto3", "urllib3", "tensorflow"} & modules_after(code) == set()


@pytest.mark.parametrize(("said", "threads"), [(None, "1"), ("3", "3")])
def test_blas_has_no_threads_of_its_own_unless_it_is_said(said: str | None, threads: str) -> None:
    """It has to be so before numpy is imported, by whichever door one comes in."""
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environ |= {} if said is None else {"OPENBLAS_NUM_THREADS": said}
    script = "import audio_classifier.cli.parser, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    run = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == threads


LAMBDA = """
import os
os.environ.update(AWS_LAMBDA_FUNCTION_NAME="x", AWS_DEFAULT_REGION="us-east-1")
from types import SimpleNamespace
from audio_classifier.lambda_handler import handler
names = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")
context = SimpleNamespace(**dict.fromkeys(names, "x"))
handler({event!r}, context)
"""


def test_an_upload_function_never_loads_the_http_door() -> None:
    loaded = modules_after(LAMBDA.format(event={"Event": "s3:TestEvent"}))
    assert {"fastapi", "mangum", "starlette", "uvicorn", "prometheus_client", "tensorflow"} & loaded == set()


@pytest.mark.parametrize(
    ("said", "ready", "not_needed"),
    [("http", "mangum", "botocore.client"), ("uploads", "botocore.client", "mangum")],
)
def test_what_a_function_is_said_to_serve_is_ready_when_it_has_started(
    said: str, ready: str, not_needed: str
) -> None:
    environ = {
        "AWS_LAMBDA_FUNCTION_NAME": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AUDIO_CLASSIFIER_WARM_UP": said,
    }
    script = f"""
import gc, os, sys
gc.disable()  # as the image does
os.environ.update({environ!r})
from audio_classifier import lambda_handler
print(gc.isenabled(), lambda_handler.shared.ready, {ready!r} in sys.modules, {not_needed!r} in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-4:] == ["True", "True", "True", "False"]


def test_a_function_that_cannot_start_says_all_that_is_wrong(tmp_path: Path) -> None:
    environ = {
        "AWS_LAMBDA_FUNCTION_NAME": "x",
        "AUDIO_CLASSIFIER_BUNDLE": str(tmp_path / "nowhere"),
        "AUDIO_CLASSIFIER_WARM_UP": "uploads",
    }
    script = f"""
import os
os.environ.update({environ!r})
from audio_classifier.service.uploads import Uploads
Uploads.client = property(lambda self: 1 / 0)
from audio_classifier import lambda_handler
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stdout  # the log
    assert re.search(r"\n\S*BundleNotFoundError: .*nowhere.*\n$", run.stderr)


def test_an_http_function_loads_no_tensorflow() -> None:
    request = {"http": {"method": "GET", "path": "/healthz", "sourceIp": "::1"}, "stage": "$default"}
    event = {
        "version": "2.0",
        "rawPath": "/healthz",
        "rawQueryString": "",
        "headers": {},
        "requestContext": request,
    }
    loaded = modules_after(LAMBDA.format(event=event))
    assert "fastapi" in loaded
    assert {"tensorflow", "numba", "scipy", "pandas", "uvicorn"} & loaded == set()
