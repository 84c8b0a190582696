"""``plot`` and ``classify --plot``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, run
from tests.plotting.pictures import png_size, svg_texts


@pytest.mark.parametrize(("top_k", "height"), [(1, 754), (8, 1066)])
def test_height_of_a_png_depends_on_the_number_of_classes(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], top_k: int, height: int
) -> None:
    out = tmp_path / "thunder.png"
    assert run("plot", assets / "thunder.wav", "-o", out, "--top-k", top_k) == 0
    assert png_size(out) == (1800, height)
    assert capsys.readouterr() == (f"{out}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["thunder.png"]


def test_svg_contains_its_texts_as_text(assets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    options = ["--filter", "rain", "--filter", "Livestock, farm animals, working animals", "--window", "1.92"]
    assert run("plot", assets / "thunder.wav", "-o", out, *options) == 0
    expected = {"thunder.wav", "Rain", "Livestock, farm animals, working animals", "probability", "time (s)"}
    assert expected <= {*svg_texts(out)}


def test_picture_omits_excluded_classes_and_groups(assets: Path, tmp_path: Path) -> None:
    options = ["--filter", "Thunderstorm", "--filter", "Rain", "--exclude", "Rain", "--groups"]
    assert run("plot", assets / "thunder.wav", "-o", tmp_path / "a.svg", *options) == 0
    assert {*svg_texts(tmp_path / "a.svg")} & {"Thunderstorm", "Thunder", "Rain", "Raindrop"} == {
        "Thunderstorm",
        "Thunder",
    }


def test_suffix_in_capitals_selects_the_format(assets: Path, tmp_path: Path) -> None:
    assert run("plot", assets / "siren.wav", "-o", tmp_path / "a.PDF") == 0
    assert (tmp_path / "a.PDF").read_bytes().startswith(b"%PDF-")


def test_picture_has_the_name_of_the_recording_unless_it_exists(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("plot", assets / "siren.wav") == 0
    assert capsys.readouterr().out == "siren.png\n"
    written = (tmp_path / "siren.png").read_bytes()
    assert written.startswith(b"\x89PNG")
    assert run("plot", assets / "siren.wav", "--top-k", "2") == 2
    assert "siren.png already exists" in capsys.readouterr().err
    assert (tmp_path / "siren.png").read_bytes() == written


def test_classify_draws_the_predictions_that_it_prints(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.svg"
    arguments = ["--format", "json", "--start-time", "3", "--plot", out]
    assert run("classify", assets / "thunder.wav", *arguments) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    texts = svg_texts(out)
    positions = [texts.index(prediction["label"]) for prediction in predictions]
    assert positions == sorted(positions)
    for prediction in predictions:
        assert f"{prediction['probability']:.1%}" in texts
    assert {"3", "5", "6", "7", "8", "9"} <= {*texts}, "the time axis begins at 2.88 s"


def test_classify_draws_a_clip_without_predictions(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", assets / "rain.wav", "--threshold", "1", "--plot", tmp_path / "a.svg") == 0
    assert "no class reaches the threshold" in svg_texts(tmp_path / "a.svg")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot", "{wav}", "-o", "a.bmp"], "--output: must be a .png, .svg or .pdf file, got 'a.bmp'"),
        (["plot", "{wav}", "-o", "png"], "--output: must be a .png, .svg or .pdf file, got 'png'"),
        (["plot", "{wav}", "-o", "nowhere/a.png"], "--output: the folder 'nowhere' does not exist"),
        (["plot", "{wav}", "-o", "a.png", "--top-k", "101"], "--top-k: must be at most 100"),
        (["plot", "{wav}", "-o", "a.png", "--top-k", "0"], "--top-k: must be at least 1, got 0"),
        (["plot", "{wav}", "-o", "a.png", "--filter", "Thundr"], "--filter: no class"),
        (["plot", "{wav}", "-o", "a.png", "--window", "20"], "--window: must be at most 9.6 s, got 20 s"),
        (["plot", "{wav}", "-o", "a.png", "--hop", "5"], "--hop: "),
        (["plot", "{wav}", "-o", "folder.png"], "directory"),
        (["classify", "{wav}", "--plot", ""], "--plot: must be a .png, .svg or .pdf file, got ''"),
        (["classify", "{wav}", "--plot", "a.bmp"], "--plot: must be a .png, .svg or .pdf file, got 'a.bmp'"),
        (["classify", "{wav}", "{wav}", "--plot", "a.png"], "--plot: a picture shows exactly 1 file, got 2"),
    ],
)
def test_invalid_argument_is_reported_and_no_file_is_written(
    arguments: list[str],
    message: str,
    assets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(*(argument.format(wav=assets / "rain.wav") for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_unusable_recording_leaves_the_previous_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "a.png").write_bytes(b"old")
    for command in (["plot", tmp_path / "a.wav", "-o"], ["classify", tmp_path / "a.wav", "--plot"]):
        assert run(*command, tmp_path / "a.png") == 1
        assert "a.wav: not a readable audio file" in capsys.readouterr().err
    assert run("plot", tmp_path / "gone.wav", "-o", tmp_path / "a.png") == 1
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null"])
def test_home_directory_that_is_not_writable_causes_no_message(
    home: str, assets: Path, tmp_path: Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "XDG_"))}
    result = subprocess.run(
        [COMMAND, "plot", assets / "clock.wav", "-o", tmp_path / "a.png"],
        capture_output=True,
        env={**environment, "HOME": home, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"], "matplotlib's cache was removed"


def test_missing_extra_is_named(assets: Path, tmp_path: Path) -> None:
    script = "import sys; sys.modules['matplotlib'] = None\n"
    script += "from audio_classifier.cli.parser import main; sys.exit(main())"
    for arguments in (["plot", assets / "rain.wav", "-o"], ["classify", assets / "rain.wav", "--plot"]):
        result = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments), tmp_path / "a.png"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stdout) == (2, "")
        assert "drawing needs packages" in result.stderr
        assert "pip install 'serverless-audio-classifier[plot]'" in result.stderr
