"""Run the commands of the guide to one's own classes, in their order, on synthetic recordings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from devtools.ports import free_port
from tests.support.sounds import encode

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "your-own-classes.md").read_text(encoding="utf-8")
RATE = 16_000


def sound(rng: np.random.Generator, kind: str) -> NDArray[np.float32]:
    """Return two seconds of a whistle, of knocks, of a buzz, or of noise."""
    times, pitch = np.arange(2 * RATE) / RATE, rng.uniform(0.9, 1.1)
    if kind == "kettle":
        samples = 0.2 * np.sin(2 * np.pi * 2500 * pitch * times)
    elif kind == "garden-gate":
        samples = 0.5 * np.sin(2 * np.pi * 150 * pitch * times) * np.exp(-30 * (times * 3 * pitch % 1))
    elif kind == "old-drill":
        samples = 0.3 * np.sign(np.sin(2 * np.pi * 320 * pitch * times))
    else:
        samples = rng.standard_normal(len(times)) * rng.uniform(0.01, 0.2)
    return np.asarray(samples + rng.normal(0, 0.002, len(times)), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the guide's commands run."""
    folder, rng = tmp_path_factory.mktemp("guide"), np.random.default_rng(0)
    for name in ("recordings/kettle", "recordings/garden-gate", "recordings/old-drill", "others"):
        (folder / name).mkdir(parents=True)
        for number in range(1, 13):
            content = encode(sound(rng, name.split("/")[-1]), RATE)
            (folder / name / f"{number:02}.wav").write_bytes(content)
    kinds = ("others", "kettle", "others", "garden-gate", "others")
    (folder / "evening.wav").write_bytes(encode(np.concatenate([sound(rng, kind) for kind in kinds]), RATE))
    return folder


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_commands_of_the_guide_succeed_in_their_order(folder: Path) -> None:
    script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"
    script += "".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL))
    port = free_port()
    command = f"{sys.executable} -m audio_classifier"
    script = script.replace(".venv/bin/audio-classifier serve", f"{command} serve --port {port}")
    script = script.replace(".venv/bin/audio-classifier", command)
    script = script.replace("localhost:5000", f"localhost:{port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"```text\n(\d.*?)```", GUIDE, re.DOTALL)
    printed, expected = (re.sub(r"\d\.\d+", "#", text) for text in (done.stdout, shown))
    assert expected in printed
    for name, classes in (("home", 3), ("home-2", 3), ("home-and-base", 530)):
        lines = (folder / "models" / name / "labels.csv").read_text().splitlines()
        assert len(lines) == 1 + classes
    assert "too little data: garden-gate has 2 recordings" in done.stdout
    (answer,) = re.findall(r'^.*\{"status": ?"ok", ?"predictions".*\}', done.stdout, re.MULTILINE)
    predictions = json.loads(answer[answer.rindex('{"status"') :])["predictions"]
    assert predictions[0]["label"] == "garden-gate"


def test_shown_folders_are_those_of_the_commands() -> None:
    shown = re.findall(r"^(recordings/[\w-]+|others)/", GUIDE, re.MULTILINE)
    assert shown == ["recordings/kettle", "recordings/garden-gate", "recordings/old-drill", "others"]
