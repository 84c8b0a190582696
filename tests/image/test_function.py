"""Tests of the image as a Lambda function, under the runtime interface emulator."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runtime import Function, emulator, running
from tests.e2e.test_lambda import EVENTS, http_event, labels, multipart
from tests.image.container import Image

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]


@pytest.fixture
def function(image: Image, environment: dict[str, str], tmp_path: Path) -> Iterator[Function]:
    with running(
        tmp_path / "log", emulate=emulation(image, environment), runtime=entry_point(image)
    ) as started:
        yield started


def emulation(image: Image, environment: dict[str, str], mounts: dict[Path, str] | None = None) -> list[str]:
    """Return the command that runs the emulator in a container."""
    rie = emulator()
    assert rie is not None
    return image.command(environment=environment, mounts={rie: "/rie", **(mounts or {})}, entrypoint="/rie")


def entry_point(image: Image) -> list[str]:
    """Return the entry point of the image."""
    command: list[str] = image.inspect()["Config"]["Entrypoint"]
    return command


def check(function: Function, s3: Any, assets: Path) -> None:
    """Classify a recording in an event of an API, in an event of an upload, and in a direct invocation."""
    recording = (assets / "rain.wav").read_bytes()
    answer = function.invoke(http_event("http_api", multipart(recording)))
    assert answer["statusCode"] == 200, answer
    top_labels = labels(json.loads(answer["body"]))
    assert "Rain" in top_labels
    stored = "s3://results/results/in/rain.wav.json"
    assert function.invoke(EVENTS["s3"]) == {"status": "ok", "results": [f"stored {stored}"]}
    result = json.loads(s3.get_object(Bucket="results", Key="results/in/rain.wav.json")["Body"].read())
    assert labels(result)[:3] == top_labels
    direct = function.invoke({"audio_base64": base64.b64encode(recording).decode()})
    assert labels(direct)[:3] == top_labels


def test_image_processes_events(function: Function, s3: Any, assets: Path) -> None:
    check(function, s3, assets)


def test_model_is_loaded_from_object_storage(
    image: Image, environment: dict[str, str], s3: Any, compact: Path, assets: Path, tmp_path: Path
) -> None:
    for path in compact.iterdir():
        s3.upload_file(str(path), "models", f"compact/{path.name}")
    environment["AUDIO_CLASSIFIER_BUNDLE"] = "s3://models/compact/"
    with running(
        tmp_path / "log", emulate=emulation(image, environment), runtime=entry_point(image)
    ) as function:
        check(function, s3, assets)
    s3.delete_object(Bucket="models", Key="compact/head.npz")
    with running(
        tmp_path / "log", emulate=emulation(image, environment), runtime=entry_point(image)
    ) as function:
        answer = function.invoke({"warmup": True})
    assert "head.npz" in answer["errorMessage"]
