"""Tests of the measured models: material, figures, and the table and plot of docs/models.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from audio_classifier.convert.catalogue import read_catalogue
from audio_classifier.convert.mobilenet import check_state, network
from audio_classifier.convert.mobilenet_reference import forward
from benchmarks.children import child
from benchmarks.model_material import random_state
from benchmarks.model_report import draw, model_table
from benchmarks.models import MEASUREMENTS, figures, size_bytes
from tests.plotting.pictures import png_size

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "models.md"


def test_figures_are_the_least_cpu_times_of_all_rounds() -> None:
    seconds = {"seconds": [0.5, 0.5, 0.5], "clip": [0.02, 0.03, 0.01], "network": [0.004, 0.003, 0.005]}
    assert figures(seconds, 5) == {"size_bytes": 5, "clip_ms": 10.0, "network_ms": 3.0}


def test_clip_is_measured_with_its_network(assets: Path) -> None:
    with child("clip", "compact", str(assets / "rain.wav")) as process:
        (measured,) = process.perform()
    assert 0 < measured["network"] < measured["clip"]


def test_size_of_a_bundle_is_that_of_its_files(compact: Path) -> None:
    files = [path.stat().st_size for path in compact.iterdir() if path.name != "manifest.json"]
    assert size_bytes(compact) == sum(files)


def test_random_weights_keep_the_scale_of_signals() -> None:
    net = network(0.1)
    state = random_state(net)
    check_state(state, net)
    log_mels = np.random.default_rng(0).standard_normal((1, 96, 128), np.float32)
    assert 1e-3 < np.std(forward(state, net, log_mels)) < 1e3


def test_measurements_cover_only_models_of_the_catalogue() -> None:
    measured = json.loads(MEASUREMENTS.read_text(encoding="utf-8"))["models"]
    assert measured.keys() <= {entry.name for entry in read_catalogue().entries}
    assert "compact" in measured


def test_table_of_models_is_up_to_date() -> None:
    assert f"\n\n{model_table(read_catalogue())}\n\n" in DOCUMENT.read_text(encoding="utf-8")


def test_plot_of_models_is_up_to_date(tmp_path: Path) -> None:
    committed, redrawn = ROOT / "docs" / "pictures" / "models.png", tmp_path / "models.png"
    draw(read_catalogue(), redrawn)
    assert png_size(redrawn) == png_size(committed)
    assert committed.stat().st_size < 100_000
    from matplotlib.image import imread

    difference = np.abs(imread(redrawn)[..., :3] - imread(committed)[..., :3])
    assert difference.mean() < 0.01, "run `make pictures`"
