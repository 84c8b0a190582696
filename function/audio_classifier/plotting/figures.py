"""Pictures of recordings, for screen and print: waveform, log-mel spectrogram and classes.

Only matplotlib's figures are used, and its settings are restored afterwards.  The colour map runs from light
to dark, so that it reads the same in grey and for people with colour blindness.
"""

from __future__ import annotations

import io
import math
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.audio.log_mel import hertz_to_mel
from audio_classifier.inference.selection import Prediction
from audio_classifier.plotting.reduction import AudioOverview, ClassOverview

WIDTH_IN: Final = 9.0
WAVE_IN, MELS_IN, ROW_IN, MIN_CLASSES_IN, BORDERS_IN = 0.8, 1.5, 0.26, 0.52, 0.95
MIN_LOG_MEL_RANGE: Final = 4.0  # with less, near-silence would look loud
INK: Final = "#3b1f5b"
LINE: Final = "#666666"
COLOURS: Final = "magma_r"
MAX_TITLE: Final = 56  # this many of the widest letters fit
TICKS_KHZ: Final = (0.25, 0.5, 1, 2, 4, 8)
STEPS_S: Final = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)),
)
MAX_TICKS: Final = 10
STYLE: Final = {
    "axes.edgecolor": LINE,
    "axes.labelcolor": LINE,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",  # shipped with matplotlib: the same picture everywhere
    "figure.titlesize": 11,
    "font.size": 9,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,  # twice what a page shows
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "audio-classifier",
    "text.parse_math": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
}
# No date: the same recording gives the same file.
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "png": {"pil_kwargs": {"optimize": True}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


@contextmanager
def styled() -> Iterator[None]:
    """Use the style of all pictures during the block or, as a decorator, the function."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a file name may contain any character
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@styled()
def draw_recording(audio: AudioOverview, classes: ClassOverview, *, top_k: int, title: str) -> Figure:
    """Draw the classes of a recording over time: a row for each of the most probable ones."""
    tracks, edges_s = classes.tracks(top_k), classes.edges_s()
    figure, wave, mels, heat, bar = _panels(len(tracks), title)
    _draw_audio(wave, mels, audio)
    image = heat.pcolorfast(
        edges_s,
        np.arange(len(tracks) + 1.0),
        np.array([track.probabilities for track in tracks]),
        vmin=0,
        vmax=1,
        cmap=COLOURS,
    )
    _name_rows(heat, [track.label for track in tracks])
    for row in range(1, len(tracks)):
        heat.axhline(row, color="white", linewidth=1)
    for axes in (wave, mels):
        axes.tick_params(labelbottom=False, bottom=False)
    _draw_time(heat, audio)
    heat.tick_params(bottom=True)
    colours = figure.colorbar(image, cax=bar, ticks=[0, 0.5, 1] if len(tracks) > 2 else [0, 1])
    colours.ax.set_ylabel("probability")
    colours.outline.set_visible(False)
    return figure


@styled()
def draw_clip(audio: AudioOverview, predictions: Sequence[Prediction], *, title: str) -> Figure:
    """Draw the predictions for a clip: a bar for each."""
    figure, wave, mels, bars, blank = _panels(len(predictions), title)
    blank.set_axis_off()
    _draw_audio(wave, mels, audio)
    wave.tick_params(labelbottom=False, bottom=False)
    _draw_time(mels, audio)
    _name_rows(bars, [prediction.label for prediction in predictions])
    for row, prediction in enumerate(predictions):
        bars.barh(row + 0.5, prediction.probability, 0.7, color=INK)
        bars.text(prediction.probability + 0.01, row + 0.5, f"{prediction.probability:.1%}", va="center")
    if not predictions:
        bars.text(0.01, 0.5, "no class reaches the threshold", va="center", transform=bars.transAxes)
    bars.set(xlim=(0, 1), xlabel="probability", xticks=[0, 0.25, 0.5, 0.75, 1])
    return figure


@styled()
def write_picture(figure: Figure, path: Path) -> None:
    """Write a picture in the format of its suffix; the file appears whole, and replaces an old one.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    content, kind = io.BytesIO(), path.suffix[1:].lower()
    figure.savefig(content, format=kind, **OPTIONS[kind])
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        partial.write_bytes(content.getbuffer())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _panels(rows: int, title: str) -> tuple[Figure, Any, Any, Any, Any]:
    """Return a figure and its axes: waveform, spectrogram, classes, and a narrow one next to the classes."""
    heights_in = (WAVE_IN, MELS_IN, max(MIN_CLASSES_IN, rows * ROW_IN))
    figure = Figure(figsize=(WIDTH_IN, sum(heights_in) + BORDERS_IN), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=heights_in, width_ratios=(70, 1))
    wave, mels, classes = (figure.add_subplot(grid[row, 0]) for row in range(3))
    figure.suptitle(_printable(title), x=0.005, horizontalalignment="left")
    return figure, wave, mels, classes, figure.add_subplot(grid[2, 1])


def _draw_audio(wave: Any, mels: Any, audio: AudioOverview) -> None:
    edges_s, low, high = audio.envelope()
    peak = float(max(high.max(), -low.min())) or 1.0
    low, high = (np.append(values, values[-1]) for values in (low, high))
    wave.fill_between(edges_s, low, high, step="post", color=INK, linewidth=0.5)
    wave.set(xlim=(audio.start_s, audio.end_s), ylim=(-1.05 * peak, 1.05 * peak), ylabel="amplitude")
    wave.set_yticks([-peak, 0, peak], [f"−{peak:.2g}", "0", f"{peak:.2g}"])

    edges_s, log_mels = audio.log_mels()
    end_s = edges_s[0] + len(log_mels) * (edges_s[1] - edges_s[0])  # of a full last column
    front_end = audio.front_end
    floor = (math.log(front_end.log_offset) + front_end.log_shift) / front_end.log_scale
    mels.imshow(
        log_mels.T,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=(edges_s[0], end_s, 0, front_end.mel_bands),
        vmin=floor,
        vmax=max(float(log_mels.max()), floor + MIN_LOG_MEL_RANGE / front_end.log_scale),
        cmap=COLOURS,
    )
    mels.set(xlim=(audio.start_s, audio.end_s), ylabel="frequency (kHz)")
    ticks_khz = [khz for khz in TICKS_KHZ if 1000 * khz < front_end.mel_max_hz]
    mels.set_yticks([_band(1000 * khz, front_end) for khz in ticks_khz], [f"{khz:g}" for khz in ticks_khz])


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Label rows of height 1 with the names, the first on top."""
    axes.set_ylim(max(1, len(names)), 0)
    axes.set_yticks(np.arange(len(names)) + 0.5, names, color="black")
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)


def _draw_time(axes: Any, audio: AudioOverview) -> None:
    ticks_s = time_ticks(audio.start_s, audio.end_s)
    axes.set_xlim(audio.start_s, audio.end_s)
    axes.set_xticks(ticks_s, [clock(tick_s, audio.end_s) for tick_s in ticks_s])
    axes.set_xlabel(f"time ({_clock_form(audio.end_s)})")


def time_ticks(start_s: float, end_s: float) -> list[float]:
    """Return at most `MAX_TICKS` + 1 round times from ``start_s`` to ``end_s``."""
    step_s = next((step for step in STEPS_S if (end_s - start_s) / step <= MAX_TICKS), end_s - start_s)
    first, last = math.ceil(start_s / step_s), math.floor(end_s / step_s)
    return [round(number * step_s, 1) for number in range(first, last + 1)]


def clock(seconds: float, end_s: float) -> str:
    """Format a time for an axis that ends at ``end_s``: as seconds, m:ss or h:mm:ss."""
    if end_s < 60:
        return f"{seconds:g}"
    minutes, rest_s = divmod(seconds, 60)
    whole_s, tenths = divmod(round(rest_s * 10), 10)
    rest = f"{whole_s:02}" + (f".{tenths}" if tenths else "")
    if end_s < 3600:
        return f"{minutes:.0f}:{rest}"
    return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{rest}"


def _clock_form(end_s: float) -> str:
    return "s" if end_s < 60 else "m:ss" if end_s < 3600 else "h:mm:ss"


def _band(hertz: float, front_end: FrontEnd) -> float:
    """Return the position of a frequency on the axis of mel bands; the lowest band spans 0 to 1."""
    lowest, highest = hertz_to_mel(front_end.mel_min_hz), hertz_to_mel(front_end.mel_max_hz)
    share = (hertz_to_mel(hertz) - lowest) / (highest - lowest)
    return float(share * (front_end.mel_bands + 1) - 0.5)


def _printable(name: str) -> str:
    """Replace characters that cannot be drawn, and shorten a long file name in its middle."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    half = MAX_TITLE // 2
    return text if len(text) <= MAX_TITLE else f"{text[:half]}…{text[-half:]}"
