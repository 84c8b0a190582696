from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier, Selection, Window
from audio_classifier.plotting.figures import clock, draw_recording, time_ticks, write_picture
from audio_classifier.plotting.reduction import AudioOverview, ClassOverview
from tests.cli.commands import COMMAND, run
from tests.plotting.pictures import png_size, svg_texts
from tests.support.sounds import busy, encode

ROOT = Path(__file__).parents[2]


def test_figure_shows_the_probabilities_of_the_timeline(classifier: AudioClassifier, assets: Path) -> None:
    names = ["Thunder", "Rain"]
    audio = AudioOverview()
    classes = ClassOverview(Selection(classifier.labels, labels=names).classes)
    for item in classifier.analyze(assets / "thunder.wav", hysteresis=None, on_block=audio.add):
        assert isinstance(item, Window)
        classes.add(item)
    wave, mels, heat, bar = draw_recording(audio, classes, top_k=2, title="a").axes
    windows = classifier.timeline(assets / "thunder.wav", window_s=2.88, hop_s=0.96, labels=names, top_k=None)
    probabilities = [{p.label: p.probability for p in window.predictions} for window in windows]
    labels = [label.get_text() for label in heat.get_yticklabels()]
    (image,) = heat.images
    np.testing.assert_array_equal(
        image.get_array(), [[by_label[label] for by_label in probabilities] for label in labels]
    )
    assert image.get_clim() == (0, 1)
    (spectrogram,) = mels.images
    np.testing.assert_array_equal(spectrogram.get_array(), audio.log_mels()[1].T)
    assert wave.get_xlim() == mels.get_xlim() == heat.get_xlim() == (0, audio.end_s)
    assert bar.get_ylim() == (0, 1)


@pytest.mark.parametrize("label", ["Rain", "Livestock, farm animals, working animals"])
def test_axes_have_equal_widths_and_fit_the_figure(
    classifier: AudioClassifier, assets: Path, label: str
) -> None:
    audio, classes = AudioOverview(), ClassOverview([classifier.labels.find(label)])
    for item in classifier.analyze(assets / "rain.wav", hysteresis=None, on_block=audio.add):
        assert isinstance(item, Window)
        classes.add(item)
    figure = draw_recording(audio, classes, top_k=1, title="W" * 200)
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
    ids=["silence", "short silence", "one sample", "a third of a second", "nearly silent"],
)
def test_short_and_silent_recordings_are_drawn(
    signal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encode(signal, 16_000))))
    assert run("plot", "-", "-o", tmp_path / "a.svg") == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encode(signal, 16_000))))
    assert run("classify", "-", "--plot", tmp_path / "b.svg") == 0
    assert all(line.startswith("warning: ") for line in capsys.readouterr().err.splitlines())
    for name in "ab":
        assert "standard input" in svg_texts(tmp_path / f"{name}.svg")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_same_recording_gives_the_same_file(assets: Path, tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        assert run("plot", assets / "clock.wav", "-o", tmp_path / f"{name}.{suffix}") == 0
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_matplotlib_settings_of_the_user_do_not_change_the_picture(assets: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", [b"$a_b^c$", b"\xff", b"a\nb\x07", "\u96e8 \U0001f327".encode(), b"x" * 240])
def test_title_may_have_any_characters_and_length(name: bytes, assets: Path, tmp_path: Path) -> None:
    wav = os.fsencode(tmp_path) + b"/" + name + b".wav"
    with open(wav, "wb") as file:
        file.write((assets / "clock.wav").read_bytes())
    result = subprocess.run(
        [COMMAND, "plot", wav, "-o", tmp_path / "a.svg"], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    (title,) = [text for text in svg_texts(tmp_path / "a.svg") if text.endswith(".wav")]
    assert len(title) <= 57
    if name.startswith(b"$"):
        assert title == "$a_b^c$.wav"


def test_picture_is_replaced_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    out = tmp_path / "a.png"
    out.write_bytes(b"old")
    original = Path.replace

    def check_and_replace(partial: Path, target: Path) -> Any:
        assert out.read_bytes() == b"old"
        assert png_size(partial) == (200, 200)
        return original(partial, target)

    monkeypatch.setattr(Path, "replace", check_and_replace)
    write_picture(Figure(figsize=(1, 1)), out)
    assert png_size(out) == (200, 200)
    assert list(tmp_path.iterdir()) == [out]

    def refuse(partial: Path, target: Path) -> Any:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_picture(Figure(figsize=(1, 1)), out)
    assert list(tmp_path.iterdir()) == [out]


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
def test_time_ticks_are_few_and_round(start_s: float, end_s: float, first: str, last: str) -> None:
    ticks_s = time_ticks(start_s, end_s)
    assert 2 <= len(ticks_s) <= 11
    assert start_s <= ticks_s[0] + 0.05
    assert ticks_s[-1] <= end_s + 0.05
    assert (clock(ticks_s[0], end_s), clock(ticks_s[-1], end_s)) == (first, last)


def test_picture_in_the_readme_is_up_to_date(tmp_path: Path) -> None:
    script = ROOT / "assets" / "make_pictures.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    (shown,) = re.findall(
        r"!\[.+?\]\((.+?/timeline\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    redrawn, committed = tmp_path / Path(shown).name, ROOT / shown
    assert png_size(redrawn) == png_size(committed)
    assert committed.stat().st_size < 200_000
    from matplotlib.image import imread

    difference = np.abs(imread(redrawn)[..., :3] - imread(committed)[..., :3])
    assert difference.mean() < 0.01, "run `make pictures`"
