"""Pictures: that they are what they should be, and that nothing else is left behind."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier, Selection, Window
from audio_classifier.cli.parser import main
from audio_classifier.plotting.figures import clock, draw_recording, time_ticks, write_picture
from audio_classifier.plotting.reduction import AudioOverview, ClassOverview
from tests.support.sounds import busy, encode

COMMAND = Path(sys.executable).with_name("audio-classifier")
ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def texts(path: Path) -> list[str]:
    """The texts of an SVG, from top to bottom in the order of drawing."""
    return ["".join(text.itertext()) for text in ET.parse(path).getroot().iter(f"{SVG}text")]


@pytest.mark.parametrize(("top_k", "height"), [(1, 754), (8, 1066)])
def test_a_png_has_a_size_that_fits_its_rows(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], top_k: int, height: int
) -> None:
    out = tmp_path / "thunder.png"
    assert run("plot", assets / "thunder.wav", "-o", out, "--top-k", top_k) == 0
    assert png_size(out) == (1800, height)
    assert capsys.readouterr() == (f"{out}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["thunder.png"]


def test_an_svg_has_its_texts_as_text(assets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    options = ["--filter", "rain", "--filter", "Livestock, farm animals, working animals", "--window", "1.92"]
    assert run("plot", assets / "thunder.wav", "-o", out, *options) == 0
    shown = texts(out)
    assert {"thunder.wav", "Rain", "Livestock, farm animals, working animals", "probability", "time (s)"} <= {
        *shown
    }


def test_a_pdf_is_one(assets: Path, tmp_path: Path) -> None:
    assert run("plot", assets / "siren.wav", "-o", tmp_path / "a.PDF") == 0
    assert (tmp_path / "a.PDF").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_sound_gives_the_same_file(assets: Path, tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        assert run("plot", assets / "clock.wav", "-o", tmp_path / f"{name}.{suffix}") == 0
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_picture_shows_what_the_timeline_tells(classifier: AudioClassifier, assets: Path) -> None:
    names = ["Thunder", "Rain"]
    sound = AudioOverview()
    classes = ClassOverview(Selection(classifier.labels, labels=names).classes)
    for item in classifier.analyze(assets / "thunder.wav", hysteresis=None, on_block=sound.add):
        assert isinstance(item, Window)
        classes.add(item)
    wave, mels, heat, bar = draw_recording(sound, classes, top_k=2, title="a").axes
    windows = classifier.timeline(assets / "thunder.wav", window_s=2.88, hop_s=0.96, labels=names, top_k=None)
    told = [{p.label: p.probability for p in window.predictions} for window in windows]
    labels = [label.get_text() for label in heat.get_yticklabels()]
    (image,) = heat.images
    np.testing.assert_array_equal(image.get_array(), [[window[label] for window in told] for label in labels])
    assert image.get_clim() == (0, 1)
    (spectrogram,) = mels.images
    np.testing.assert_array_equal(spectrogram.get_array(), sound.log_mels()[1].T)
    assert wave.get_xlim() == mels.get_xlim() == heat.get_xlim() == (0, sound.end_s)
    assert bar.get_ylim() == (0, 1)


@pytest.mark.parametrize("label", ["Rain", "Livestock, farm animals, working animals"])
def test_axes_are_equally_wide_and_nothing_is_cut_off(
    classifier: AudioClassifier, assets: Path, label: str
) -> None:
    sound, classes = AudioOverview(), ClassOverview([classifier.labels.find(label)])
    for item in classifier.analyze(assets / "rain.wav", hysteresis=None, on_block=sound.add):
        assert isinstance(item, Window)
        classes.add(item)
    figure = draw_recording(sound, classes, top_k=1, title="W" * 200)
    figure.savefig(io.BytesIO(), format="png")
    wave, mels, heat, _ = figure.axes
    spans = [axes.get_position().intervalx.tolist() for axes in (wave, mels, heat)]
    assert spans[0] == pytest.approx(spans[1])
    assert spans[0] == pytest.approx(spans[2])
    box, width_in = figure.get_tightbbox(), figure.get_figwidth()
    assert box.x0 >= 0
    assert box.x1 <= width_in
    assert box.y0 >= 0
    assert box.y1 <= figure.get_figheight()


@pytest.mark.parametrize(
    "signal",
    [np.zeros(16_000 * 3), np.zeros(5), np.ones(1), busy(0.3, 16_000), 2e-5 * busy(2, 16_000)],
    ids=["silence", "short silence", "one sample", "a third of a second", "all but silent"],
)
def test_the_least_sounds_are_drawn(
    signal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encode(signal, 16_000))))
    assert run("plot", "-", "-o", tmp_path / "a.svg") == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encode(signal, 16_000))))
    assert run("classify", "-", "--plot", tmp_path / "b.svg") == 0
    assert capsys.readouterr().err == ""
    for name in "ab":
        assert "standard input" in texts(tmp_path / f"{name}.svg")


def test_classify_draws_beside_its_answer(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.svg"
    arguments = ["--format", "json", "--start-time", "3", "--plot", out]
    assert run("classify", assets / "thunder.wav", *arguments) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    shown = texts(out)
    places = [shown.index(prediction["label"]) for prediction in predictions]
    assert places == sorted(places)
    for prediction in predictions:
        assert f"{prediction['probability']:.1%}" in shown
    assert {"3", "5", "6", "7", "8", "9"} <= {*shown}, "from 2.88 s on"


def test_classify_draws_that_there_is_nothing(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", assets / "rain.wav", "--threshold", "1", "--plot", tmp_path / "a.svg") == 0
    assert "nothing above the threshold" in texts(tmp_path / "a.svg")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plot", "{wav}", "-o", "a.bmp"], "--output: 'a.bmp' is no kind of picture"),
        (["plot", "{wav}", "-o", "png"], "--output: 'png' is no kind of picture"),
        (["plot", "{wav}", "-o", "nowhere/a.png"], "--output: there is no folder 'nowhere'"),
        (["plot", "{wav}", "-o", "a.png", "--top-k", "101"], "--top-k: a picture has no room"),
        (["plot", "{wav}", "-o", "a.png", "--top-k", "0"], "--top-k: 0 classes"),
        (["plot", "{wav}", "-o", "a.png", "--filter", "Thundr"], "--filter: no class"),
        (["plot", "{wav}", "-o", "a.png", "--window", "20"], "--window: 20 s"),
        (["plot", "{wav}", "-o", "a.png", "--hop", "5"], "--hop: "),
        (["plot", "{wav}", "-o", "folder.png"], "directory"),
        (["classify", "{wav}", "--plot", ""], "--plot: '' is no kind of picture"),
        (["classify", "{wav}", "--plot", "a.bmp"], "--plot: 'a.bmp' is no kind of picture"),
        (["classify", "{wav}", "{wav}", "--plot", "a.png"], "--plot: one picture cannot show 2 files"),
    ],
)
def test_what_cannot_be_drawn_says_why(
    arguments: list[str],
    complaint: str,
    assets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(*(argument.format(wav=assets / "rain.wav") for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_sound_that_cannot_be_used_leaves_the_old_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "a.png").write_bytes(b"old")
    for command in (["plot", tmp_path / "a.wav", "-o"], ["classify", tmp_path / "a.wav", "--plot"]):
        assert run(*command, tmp_path / "a.png") == 1
        assert "a.wav: not a readable audio file" in capsys.readouterr().err
    assert run("plot", tmp_path / "gone.wav", "-o", tmp_path / "a.png") == 1
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_half_a_picture_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    out = tmp_path / "a.png"
    out.write_bytes(b"old")
    replaced = Path.replace

    def replace(partial: Path, target: Path) -> Any:
        assert out.read_bytes() == b"old"
        assert png_size(partial) == (200, 200)
        return replaced(partial, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_picture(Figure(figsize=(1, 1)), out)
    assert png_size(out) == (200, 200)
    assert list(tmp_path.iterdir()) == [out]

    def refuse(partial: Path, target: Path) -> Any:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_picture(Figure(figsize=(1, 1)), out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", [b"$a_b^c$", b"\xff", b"a\nb\x07", "\u96e8 \U0001f327".encode(), b"x" * 240])
def test_odd_names_are_drawn_as_they_are(name: bytes, assets: Path, tmp_path: Path) -> None:
    wav = os.fsencode(tmp_path) + b"/" + name + b".wav"
    with open(wav, "wb") as file:
        file.write((assets / "clock.wav").read_bytes())
    result = subprocess.run(
        [COMMAND, "plot", wav, "-o", tmp_path / "a.svg"], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    (title,) = [text for text in texts(tmp_path / "a.svg") if text.endswith(".wav")]
    assert len(title) <= 57
    if name.startswith(b"$"):
        assert title == "$a_b^c$.wav"


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null"])
def test_a_home_that_cannot_be_written_to_is_no_news(home: str, assets: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "XDG_"))}
    result = subprocess.run(
        [COMMAND, "plot", assets / "clock.wav", "-o", tmp_path / "a.png"],
        capture_output=True,
        env={**environment, "HOME": home, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"], "its cache is gone with it"


def test_settings_of_the_user_change_no_picture(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\nsvg.fonttype: path\n")
    for folder in (tmp_path, ROOT):
        subprocess.run(
            [COMMAND, "plot", assets / "clock.wav", "-o", tmp_path / f"{folder.name}.svg"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*.svg")))
    assert first == second


def test_without_the_extra_it_is_named(assets: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("start_s", "end_s", "first", "last"),
    [
        (0, 0.96, "0", "0.9"),
        (0, 9.6, "0", "9"),
        (2.88, 12.48, "3", "12"),
        (0, 59.52, "0", "50"),
        (0, 60.48, "0:00", "1:00"),
        (0, 3599.04, "0:00", "50:00"),
        (0, 3600, "0:00:00", "1:00:00"),
        (3661.44, 3662.4, "1:01:01.5", "1:01:02.4"),
        (0, 90_000, "0:00:00", "24:00:00"),
        (0, 1e7, "0:00:00", "2777:46:40"),
    ],
)
def test_times_are_round(start_s: float, end_s: float, first: str, last: str) -> None:
    ticks_s = time_ticks(start_s, end_s)
    assert 2 <= len(ticks_s) <= 11
    assert start_s <= ticks_s[0] + 0.05
    assert ticks_s[-1] <= end_s + 0.05
    assert (clock(ticks_s[0], end_s), clock(ticks_s[-1], end_s)) == (first, last)


def test_the_picture_of_the_readme_is_what_is_drawn(tmp_path: Path) -> None:
    script = ROOT / "assets" / "make_pictures.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    (shown,) = re.findall(
        r"!\[.+?\]\((.+?/timeline\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    made, committed = tmp_path / Path(shown).name, ROOT / shown
    assert png_size(made) == png_size(committed)
    assert committed.stat().st_size < 200_000
    from matplotlib.image import imread

    difference = np.abs(imread(made)[..., :3] - imread(committed)[..., :3])
    assert difference.mean() < 0.01, "run `make pictures`"
