"""Tests of ``bundle list``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.convert.catalogue import read_catalogue
from audio_classifier.convert.efficientat_models import PUBLISHED
from tests.cli.commands import run


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run("bundle", "list", "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_json_lists_the_built_in_model_and_all_that_can_be_imported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = listed(capsys)
    models = {model["name"]: model for model in document["models"]}
    assert [*models] == ["compact", "max", *PUBLISHED]
    assert models["compact"]["mean_average_precision"] is None
    assert models["compact"]["import_arguments"] == ""
    assert models["max"]["mean_average_precision"] == 0.357
    assert models["mn04"]["mean_average_precision"] == 0.432
    assert models["mn04"]["licence"] == "MIT; labels CC BY-SA 4.0"
    assert models["mn04"]["import_arguments"] == "bundle import-efficientat mn04 OUT_DIR"
    assert {"CPU", "date"} <= document["measured_on"].keys()


def test_measured_times_and_sizes_are_plausible(capsys: pytest.CaptureFixture[str], compact: Path) -> None:
    models = {model["name"]: model for model in listed(capsys)["models"]}
    for model in models.values():
        if model["clip_ms"] is not None:
            assert 0 < model["network_ms"] < model["clip_ms"]
    size_bytes = sum(path.stat().st_size for path in compact.iterdir() if path.name != "manifest.json")
    assert models["compact"]["size_bytes"] == size_bytes
    sizes = [models[name]["size_bytes"] for name in PUBLISHED]
    assert sizes == sorted(sizes)


def test_table_has_a_row_for_each_model_and_names_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bundle", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MODEL", "mAP", "SIZE", "CLIP", "NETWORK", "LICENCE", "COMMAND"]
    rows = {line.split()[0]: line for line in lines[1 : lines.index("")]}
    assert [*rows] == [entry.name for entry in read_catalogue().entries]
    assert rows["compact"].endswith("Apache-2.0  (built in)")
    assert rows["compact"].split()[1] == "-"
    assert rows["mn10"].endswith("MIT         bundle import-efficientat mn10 OUT_DIR")
    assert read_catalogue().machine["CPU"] in "\n".join(lines)
    assert max(map(len, lines)) <= 110


def test_model_without_measurement_has_no_figures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compact: Path
) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "compact").symlink_to(compact)
    document = {"machine": {"CPU": "some", "date": "2026-01-01"}, "models": {}}
    (tmp_path / "model_measurements.json").write_text(json.dumps(document))
    monkeypatch.setattr("audio_classifier.convert.catalogue.asset_path", lambda name: tmp_path / name)
    for model in listed(capsys)["models"]:
        assert [model[name] for name in ("size_bytes", "clip_ms", "network_ms")] == [None] * 3
    assert run("bundle", "list") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("compact")]
    assert row.split() == ["compact", *"----", "Apache-2.0", "(built", "in)"]
