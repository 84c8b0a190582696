"""Import budgets: what commands, the library and Lambda functions may import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("tensorflow", "h5py", "numba", "llvmlite", "resampy", "scipy", "pandas", "matplotlib", "sklearn"),
    *("boto3", "botocore", "urllib3", "fastapi", "mangum", "rich", "av"),
}
ENGINE = {"numpy", "ai_edge_litert", "soundfile", "soxr", "pydantic"}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "from audio_classifier import AudioClassifier",
        "from audio_classifier import AudioClassifier; AudioClassifier.open().predict({wav!r})",
        "from audio_classifier.cli.parser import main; main(['classify', {wav!r}])",
    ],
)
def test_classification_imports_no_heavy_package(code: str, assets: Path) -> None:
    assert modules_after(code.format(wav=str(assets / "rain.wav"))) & HEAVY == set()


@pytest.mark.parametrize(
    "code",
    [
        "import audio_classifier",
        "import audio_classifier; audio_classifier.__version__",
        "import audio_classifier; audio_classifier.AudioClassifierError",
    ],
)
def test_library_import_is_cheap(code: str) -> None:
    assert modules_after(code) & (HEAVY | ENGINE) == set()


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["labels", "--search", "rain"]])
def test_command_that_needs_no_engine_imports_none(arguments: list[str]) -> None:
    code = f"""
from audio_classifier.cli.parser import main
try:
    main({arguments!r})
except SystemExit:
    pass
"""
    assert modules_after(code) & (HEAVY | ENGINE) == set()


@pytest.mark.parametrize(
    ("code", "given", "threads"),
    [
        ("from audio_classifier import AudioClassifier", None, "None"),
        ("from audio_classifier.cli.parser import main; main(['labels'])", None, "1"),
        ("from audio_classifier.cli.parser import main; main(['labels'])", "3", "3"),
        ("from audio_classifier import lambda_handler", None, "1"),
        ("from audio_classifier import lambda_handler", "3", "3"),
    ],
)
def test_entry_points_limit_blas_threads_and_the_library_does_not(
    code: str, given: str | None, threads: str
) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environ |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        **({} if given is None else {"OPENBLAS_NUM_THREADS": given}),
    }
    script = f"{code}\nimport os; print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    run = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == threads


def test_lambda_handler_limits_blas_threads_before_numpy_is_imported() -> None:
    code = """
import sys
class NumpyImportPrinter:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            import os
            print("numpy is imported with", os.environ.get("OPENBLAS_NUM_THREADS"))
sys.meta_path.insert(0, NumpyImportPrinter())
from audio_classifier import lambda_handler
"""
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert "numpy is imported with 1\n" in run.stdout


LAMBDA = """
import os
os.environ.update(AWS_LAMBDA_FUNCTION_NAME="x", AWS_DEFAULT_REGION="us-east-1")
from types import SimpleNamespace
from audio_classifier.lambda_handler import handler
names = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")
context = SimpleNamespace(**dict.fromkeys(names, "x"))
handler({event!r}, context)
"""


def test_upload_function_never_imports_the_http_application() -> None:
    loaded = modules_after(LAMBDA.format(event={"Event": "s3:TestEvent"}))
    assert {"fastapi", "mangum", "starlette", "uvicorn", "prometheus_client", "tensorflow"} & loaded == set()


def test_http_function_imports_no_tensorflow() -> None:
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
