"""The probabilities of the built-in bundle are those of the table that `make outputs` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audio_classifier import AudioClassifier
from tests.inference.outputs import TABLE, OutdatedTableError, Outputs


@pytest.fixture(scope="module")
def outputs(classifier: AudioClassifier) -> Outputs:
    return Outputs.compute(classifier)


def test_probabilities_are_those_of_the_table(outputs: Outputs, assets: Path) -> None:
    table = Outputs.read(TABLE, outputs.bundle_version)
    assert {sound for sound, _ in table.probabilities} == {path.name for path in assets.glob("*.wav")}
    assert outputs.differences_from(table) == []


def test_table_of_another_version_is_refused(outputs: Outputs) -> None:
    with pytest.raises(OutdatedTableError, match="write the table again with `make outputs`"):
        Outputs.read(TABLE, outputs.bundle_version + ".1")


def test_written_table_is_read_again(outputs: Outputs, tmp_path: Path) -> None:
    outputs.write(tmp_path / "outputs.csv")
    table = Outputs.read(tmp_path / "outputs.csv", outputs.bundle_version)
    assert outputs.differences_from(table) == []
    assert min(table.probabilities.values()) >= 0.01


def test_differences_name_sound_class_and_both_probabilities(outputs: Outputs) -> None:
    table = Outputs(outputs.bundle_version, {("rain.wav", "/m/06mb1"): 0.5, ("rain.wav", "/m/0838f"): 0.05})
    changed = {
        ("rain.wav", "/m/06mb1"): 0.52,
        ("rain.wav", "/m/0838f"): 0.055,
        ("rain.wav", "/m/07r10fb"): 0.03,
    }
    assert replace(outputs, probabilities=changed).differences_from(table) == [
        "rain.wav, /m/06mb1: expected 0.5000, got 0.5200",
        "rain.wav, /m/07r10fb: expected less than 0.01, got 0.0300",
    ]
