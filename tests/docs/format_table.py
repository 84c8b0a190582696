"""Measure the table in ``docs/formats.md``: ``python -m tests.docs.format_table docs/formats.md``.

Each row is a file that is made by code: a siren, which must be classified as one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.audio.reader import AudioReader
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.errors import AudioError
from benchmarks.documents import replace_block, table
from tests.support.media import FORMATS, encode_media
from tests.support.ogg import flac_in_ogg, ogg_packets, with_serial
from tests.support.sounds import encode
from tests.support.webm import Webm

ROOT: Final = Path(__file__).parents[2]
HEAD: Final = ("container", "codecs", "without the extra", "with `formats`")
SNDFILE_CONTAINERS: Final = ("WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
# libsndfile decodes these, but cannot write them.
UNWRITABLE: Final = frozenset(
    (
        *(("WAV", "MPEG_LAYER_III"), ("AIFF", "DWVW_12")),
        *(("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")),
    )
)
MIN_PROBABILITY: Final = 0.75


@dataclass(frozen=True)
class Row:
    """A file format, and how to make a file of it from samples at 16 kHz."""

    container: str
    codec: str
    make: Callable[[NDArray[np.float32]], bytes]


def _sndfile_rows() -> Iterator[Row]:
    for container in SNDFILE_CONTAINERS:
        for subtype, description in soundfile.available_subtypes(container).items():
            if (container, subtype) not in UNWRITABLE:
                make = partial(encode, rate_hz=SAMPLE_RATE_HZ, container=container, subtype=subtype)
                yield Row(container, description, make)


def _flac_in_ogg(siren: NDArray[np.float32]) -> bytes:
    return flac_in_ogg(encode(siren, SAMPLE_RATE_HZ, "FLAC"), 1)


def _chained_ogg(siren: NDArray[np.float32]) -> bytes:
    """Return a stream of silence and one of the siren."""
    silence = with_serial(encode(np.zeros(SAMPLE_RATE_HZ, np.float32), SAMPLE_RATE_HZ, "OGG"), 1)
    return silence + with_serial(encode(siren, SAMPLE_RATE_HZ, "OGG"), 2)


def _opus_in_webm(siren: NDArray[np.float32]) -> bytes:
    head, _, *packets = ogg_packets(encode(siren, SAMPLE_RATE_HZ, "OGG", "OPUS"))
    return Webm(packets, head).content()


def _media_rows() -> Iterator[Row]:
    for media in FORMATS.values():
        make = partial(encode_media, rate_hz=SAMPLE_RATE_HZ, media=media)
        yield Row(media.label, media.codec_label, make)


ROWS: Final = (
    *_sndfile_rows(),
    Row("OGG", "FLAC", _flac_in_ogg),
    Row("OGG, chained", "Vorbis", _chained_ogg),
    Row("WebM", "Opus", _opus_in_webm),
    *_media_rows(),
)


@contextmanager
def _without_av() -> Iterator[None]:
    """Let the import of PyAV fail."""
    av = sys.modules.get("av")
    sys.modules["av"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["av"]
        if av is not None:
            sys.modules["av"] = av


def measured_table() -> str:
    """Make and classify a file of each format, and return the Markdown table of the results."""
    classifier = AudioClassifier.open()
    with AudioReader(ROOT / "assets" / "siren.wav") as reader:
        siren = reader.read(0, 10 * SAMPLE_RATE_HZ)
    rows = []
    for row in ROWS:
        content = row.make(siren)
        with _without_av():
            without = _result(classifier, content)
        rows.append((row.container, row.codec, without, _result(classifier, content)))
    joined = []
    for (container, *results), group in groupby(rows, key=lambda row: (row[0], *row[2:])):
        joined.append((container, ", ".join(codec for _, codec, *_ in group), *results))
    return table(HEAD, joined)


def _result(classifier: AudioClassifier, content: bytes) -> str:
    try:
        predictions = classifier.predict(content)
    except AudioError as error:
        return f"`{error.code}`"
    for prediction in predictions:
        if prediction.label in ("Alarm", "Siren") and prediction.probability > MIN_PROBABILITY:
            return "read"
    return f"**wrong: {predictions[0].label}**"


if __name__ == "__main__":
    replace_block(Path(sys.argv[1]), "formats", measured_table())
