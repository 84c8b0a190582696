from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from audio_classifier import AudioClassifier

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| `([\w-]+\.wav)` \| .* \| ([\d.]+) s \| ([\d.]+) kHz \| (.+) \|$",
                  (ROOT / "assets" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip


def script(name: str) -> ModuleType:
    """Import a script of the folder assets/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "assets" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def make_samples() -> ModuleType:
    return script("make_samples")


def test_readme_lists_all_recordings(assets: Path) -> None:
    assert [row[0] for row in ROWS] == sorted(path.name for path in assets.glob("*.wav"))
    assert len(ROWS) >= 8


@pytest.mark.parametrize(("name", "duration_s", "rate_khz", "label"), ROWS)
def test_recording_matches_its_description_and_is_recognized(
    classifier: AudioClassifier, assets: Path, name: str, duration_s: str, rate_khz: str, label: str
) -> None:
    info = soundfile.info(assets / name)
    assert info.subtype == "PCM_16"
    assert info.samplerate == float(rate_khz) * 1000
    assert info.duration == pytest.approx(float(duration_s), abs=0.5)
    assert label in [prediction.label for prediction in classifier.predict(assets / name)]


def test_committed_recordings_equal_those_of_the_script(
    make_samples: ModuleType, assets: Path, tmp_path: Path
) -> None:
    for seed, (name, (synthesise, rate_hz)) in enumerate(make_samples.SOUNDS.items()):
        make_samples.write(tmp_path / name, synthesise(np.random.default_rng(seed), rate_hz), rate_hz)
        made, _ = soundfile.read(tmp_path / name, dtype="int16")
        committed, _ = soundfile.read(assets / name, dtype="int16")
        assert np.abs(made.astype(int) - committed).max() <= 1, name


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_speech_has_the_duration_of_espeaks_output(make_samples: ModuleType, assets: Path) -> None:
    spoken = make_samples.speech(make_samples.SPEECH_RATE_HZ)
    assert len(spoken) / make_samples.SPEECH_RATE_HZ == pytest.approx(
        soundfile.info(assets / "speech.wav").duration, rel=0.2
    )


def test_bundle_has_audiosets_labels(assets: Path) -> None:
    with (assets / "class_labels_indices.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 527
    bundled = assets / "bundles" / "compact" / "labels.csv"
    assert bundled.read_bytes() == (assets / "class_labels_indices.csv").read_bytes()


def test_table_of_the_ontology_omits_descriptions_and_examples(tmp_path: Path) -> None:
    node = {"description": "x", "citation_uri": "x", "positive_examples": ["x"], "restrictions": ["abstract"]}
    nodes = [
        {"id": "/m/a", "name": "A, a", "child_ids": ["/m/b", "/m/c"], **node},
        {"id": "/m/b", "name": "B", "child_ids": [], **node},
    ]
    (tmp_path / "ontology.json").write_text(json.dumps(nodes))
    script("make_ontology").write_table(tmp_path / "ontology.json", tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == 'id,name,child_ids\n/m/a,"A, a",/m/b /m/c\n/m/b,B,\n'


@pytest.mark.parametrize("name", ["audioset_ontology.csv", "class_labels_indices.csv"])
def test_tables_are_shipped_with_the_package_and_the_image(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included[f"assets/{name}"] == f"audio_classifier/data/{name}"
    assert f"assets/{name}" in (ROOT / "Dockerfile.lambda").read_text()
    assert f"!assets/{name}\n" in (ROOT / ".dockerignore").read_text()


def test_committed_assets_are_smaller_than_12_mb(assets: Path) -> None:
    assert sum(path.stat().st_size for path in assets.rglob("*") if path.is_file()) < 12e6
