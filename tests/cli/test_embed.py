from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from tests.cli.commands import run


def test_folder_is_embedded_and_failures_are_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], classifier: AudioClassifier
) -> None:
    assert run("embed", folder, tmp_path / "gone.wav", "--output", tmp_path / "x.npz") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "broken.wav: " in printed.err
    assert "gone.wav: No such file or directory" in printed.err
    arrays = np.load(tmp_path / "x.npz")
    names = [str(folder / name) for name in ("deeper/SIREN.WAV", "rain.wav")]
    assert arrays["files"].tolist() == names
    expected = [classifier.embed(name) for name in names]
    codes = np.concatenate([embeddings.codes for embeddings in expected]).astype(int)
    assert f"2 embedded ({len(codes)} patches of 0.96 s), 2 failed, in " in printed.err
    assert np.abs(arrays["embeddings"].astype(int) - codes).max() <= 1
    np.testing.assert_array_equal(
        arrays["start_s"], np.concatenate([embeddings.start_s for embeddings in expected])
    )
    assert str(arrays["bundle_digest"]) == classifier.bundle.digest


def test_lines_are_written_for_each_patch(tmp_path: Path, assets: Path) -> None:
    assert run("embed", assets / "rain.wav", "-o", tmp_path / "x.jsonl") == 0
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert {line["file"] for line in lines} == {str(assets / "rain.wav")}
    assert [line["start_s"] for line in lines] == pytest.approx(0.96 * np.arange(len(lines)))


def test_nothing_is_stored_if_no_recording_can_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert run("embed", tmp_path / "a.wav", "-o", tmp_path / "x.npz") == 1
    assert "nothing is stored" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rain.wav", "-o", "x.csv"], "--output: must end with .npz or .jsonl"),
        (["rain.wav", "-o", "rain.npz/x.npz"], "rain.npz/x.npz cannot be written"),
        (["rain.wav", "-o", "rain.npz"], "--output: rain.npz exists"),
        (["-", "-", "-o", "x.npz"], "standard input can be read only once"),
    ],
)
def test_command_that_cannot_run_fails(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rain.npz").touch()
    assert run("embed", *arguments) == 2
    assert message in capsys.readouterr().err


def test_model_without_embeddings_is_refused(
    clip_bundle: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "x.npz"
    assert run("embed", assets / "rain.wav", "-o", output, "--bundle", clip_bundle) == 2
    error = capsys.readouterr().err
    assert "mn01 has no embeddings" in error
    assert "Use the bundle compact or max" in error
    assert not output.exists()
