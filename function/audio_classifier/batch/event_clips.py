"""Cut sound events out of a recording, as WAV files in a folder for each class."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.reader import AudioReader, own_rate_reader
from audio_classifier.audio.source import AudioSource
from audio_classifier.errors import InvalidParameterError, OutputError
from audio_classifier.inference.sound_events import SoundEvent, by_start

MARGIN_S: Final = 0.5
MAX_CLIP_S: Final = 3600.0  # longer events are several clips; WAV files have at most 4 GiB
MAX_NAME_BYTES: Final = (
    100  # of a class or recording in a path; most file systems accept 255 for a whole name
)
UNSAFE: Final = frozenset('<>:"/\\|?*')  # in names of files, on some system
BLOCK_S: Final = 10


@dataclass(frozen=True, slots=True)
class SavedClip:
    """A clip that was written."""

    path: Path


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that existed already, and was kept."""

    path: Path


def save_event_clips(
    source: AudioSource,
    name: str,
    events: Iterable[SoundEvent],
    folder: Path,
    *,
    margin_s: float = MARGIN_S,
    channel: Channel = None,
) -> Iterator[SavedClip | KeptFile]:
    """Write a WAV file for each sound event, and yield it: ``Dog/park.wav-00m12.48s-00m15.36s.wav``.

    The times in the name are those of the event, without the margin.  Clips are mono, have 16 bits and the
    sample rate of the recording, and are written completely or not at all.  Existing files are kept.

    Parameters
    ----------
    source
        The recording; see `AudioClassifier.predict`.  It is read again.
    name
        The name of the recording; its slashes become underscores.
    folder
        The folder with the folders of classes, which are created.
    margin_s
        How much of the recording before and after an event is also in its clip.
    channel
        The channel that was classified.

    Raises
    ------
    InvalidParameterError
        If the margin is negative or not finite.
    AudioError
        If the recording cannot be read.
    OutputError
        If a file cannot be written.
    """
    if not 0 <= margin_s < float("inf"):
        raise InvalidParameterError("margin", f"must be a duration of 0 s or more, got {margin_s:g}")
    recording = _safe_name("standard-input" if name == "-" else name)
    with own_rate_reader(source, channel=channel) as reader:
        for event in sorted(events, key=by_start):
            for start_s, end_s in _spans(event):
                times = f"{_clock(start_s)}-{_clock(end_s)}"
                path = folder / _safe_name(event.label) / f"{recording}-{times}.wav"
                if path.exists():
                    yield KeptFile(path)
                    continue
                try:
                    _write_clip(reader, path, max(0.0, start_s - margin_s), end_s + margin_s)
                except OSError as error:
                    raise OutputError(
                        f"{path} cannot be written: {error.strerror or error}",
                        hint="Free some space, or name another folder.",
                    ) from error
                yield SavedClip(path)


def _spans(event: SoundEvent) -> Iterator[tuple[float, float]]:
    start_s = event.start_s
    while event.end_s - start_s > MAX_CLIP_S:
        yield start_s, start_s + MAX_CLIP_S
        start_s += MAX_CLIP_S
    yield start_s, event.end_s


def _write_clip(reader: AudioReader, path: Path, start_s: float, end_s: float) -> None:
    """Write a stretch of a recording, or what there is of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate_hz = reader.front_end.sample_rate_hz
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with wave.open(str(partial), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate_hz)
            end = round(end_s * rate_hz)
            for start in range(round(start_s * rate_hz), end, BLOCK_S * rate_hz):
                count = min(BLOCK_S * rate_hz, end - start)
                samples = reader.read(start, count)
                scaled = np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1)
                out.writeframes(scaled.astype("<i2").tobytes())
                if len(samples) < count:
                    break
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _safe_name(text: str) -> str:
    """Make a text a name of a file or folder on every system: neither special, hidden nor too long."""
    safe = "".join(one if one.isprintable() and one not in UNSAFE else "_" for one in text)
    safe = safe.encode()[:MAX_NAME_BYTES].decode(errors="ignore").rstrip(". ")
    return f"_{safe[1:]}" if safe.startswith(".") or not safe else safe


def _clock(seconds: float) -> str:
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    return f"{minutes:02}m{hundredths / 100:05.2f}s"
