"""Measure the table in ``docs/formats.md``: ``python -m tests.docs.format_table docs/formats.md``.

Each row is a file that is made by code: a siren, which must be classified as one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.audio.reader import AudioReader
from audio_classifier.audio.webm_codecs import VORBIS_HEADERS
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.errors import AudioError, UnsupportedFormatError
from benchmarks.documents import replace_block, table
from tests.support.media import FORMATS, MediaFormat, encode_media
from tests.support.ogg import flac_in_ogg, ogg_packets, with_serial
from tests.support.sounds import encode
from tests.support.webm import Webm, laced

ROOT: Final = Path(__file__).parents[2]
HEAD: Final = ("container", "codecs", "without the extra", "with `formats`")
# By libsndfile's names.
CONTAINERS: Final = {
    **{name: name for name in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")},
    "MP3": "MPEG audio",
    "OGG": "Ogg",
}
# Codecs by libsndfile's names, with their variant, in the order of the table.
CODECS: Final = {
    "PCM_U8": ("PCM ({} bits)", "8"),
    "PCM_S8": ("PCM ({} bits)", "8"),
    "PCM_16": ("PCM ({} bits)", "16"),
    "PCM_24": ("PCM ({} bits)", "24"),
    "PCM_32": ("PCM ({} bits)", "32"),
    "FLOAT": ("floats ({} bits)", "32"),
    "DOUBLE": ("floats ({} bits)", "64"),
    "ULAW": ("μ-law", ""),
    "ALAW": ("A-law", ""),
    "IMA_ADPCM": ("ADPCM ({})", "IMA"),
    "MS_ADPCM": ("ADPCM ({})", "Microsoft"),
    "G721_32": ("ADPCM ({})", "G.721"),
    "G723_24": ("ADPCM ({})", "G.723"),
    "G723_40": ("ADPCM ({})", "G.723"),
    "NMS_ADPCM_16": ("ADPCM ({})", "NMS"),
    "NMS_ADPCM_24": ("ADPCM ({})", "NMS"),
    "NMS_ADPCM_32": ("ADPCM ({})", "NMS"),
    "GSM610": ("GSM 6.10", ""),
    "DWVW_16": ("DWVW ({} bits)", "16"),
    "DWVW_24": ("DWVW ({} bits)", "24"),
    "ALAC_16": ("ALAC ({} bits)", "16"),
    "ALAC_20": ("ALAC ({} bits)", "20"),
    "ALAC_24": ("ALAC ({} bits)", "24"),
    "ALAC_32": ("ALAC ({} bits)", "32"),
    "VORBIS": ("Vorbis", ""),
    "OPUS": ("Opus", ""),
    "MPEG_LAYER_III": ("layer III (MP3)", ""),
}
# libsndfile decodes these, but cannot write them.
UNWRITABLE: Final = frozenset(
    (
        *(("WAV", "MPEG_LAYER_III"), ("AIFF", "DWVW_12")),
        *(("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")),
    )
)
MP2: Final = MediaFormat("MPEG audio", "layer II (MP2)", "mp2", "mp2")
MIN_PROBABILITY: Final = 0.75


@dataclass(frozen=True)
class Row:
    """A file format, and how to make a file of it from samples at 16 kHz.

    Attributes
    ----------
    container
        The name of the container.
    codec
        The name of the codec; ``{}`` in it stands for the variants.
    variant
        The variant of the codec, if it has several.
    make
        Returns the file.
    """

    container: str
    codec: str
    variant: str
    make: Callable[[NDArray[np.float32]], bytes]


def _sndfile_rows() -> Iterator[Row]:
    for container, label in CONTAINERS.items():
        writable = {
            name for name in soundfile.available_subtypes(container) if (container, name) not in UNWRITABLE
        }
        for subtype in sorted(writable, key=list(CODECS).index):
            make = partial(encode, rate_hz=SAMPLE_RATE_HZ, container=container, subtype=subtype)
            codec, variant = CODECS[subtype]
            yield Row(label, "FLAC ({} bits)" if container == "FLAC" else codec, variant, make)


def _media_row(media: MediaFormat) -> Row:
    make = partial(encode_media, rate_hz=SAMPLE_RATE_HZ, media=media)
    return Row(media.label, media.codec_label, "", make)


def _flac_in_ogg(siren: NDArray[np.float32]) -> bytes:
    return flac_in_ogg(encode(siren, SAMPLE_RATE_HZ, "FLAC"), 2)


def _chained_ogg(siren: NDArray[np.float32], last: Callable[[NDArray[np.float32]], bytes]) -> bytes:
    """Return a stream of silence in Vorbis and one of the siren."""
    silence = with_serial(encode(np.zeros(SAMPLE_RATE_HZ, np.float32), SAMPLE_RATE_HZ, "OGG"), 1)
    return silence + last(siren)


def _in_ogg(siren: NDArray[np.float32], codec: str) -> bytes:
    return with_serial(encode(siren, SAMPLE_RATE_HZ, "OGG", codec), 2)


def _opus_in_webm(siren: NDArray[np.float32]) -> bytes:
    head, _, *packets = ogg_packets(_in_ogg(siren, "OPUS"))
    return Webm(packets, head).content()


def _vorbis_in_webm(siren: NDArray[np.float32]) -> bytes:
    packets = ogg_packets(_in_ogg(siren, "VORBIS"))
    headers, audio = packets[:VORBIS_HEADERS], packets[VORBIS_HEADERS:]
    _, content = laced(headers, "xiph")
    packet_ms = 1000 * len(siren) / SAMPLE_RATE_HZ / len(audio)
    return Webm(audio, content, "A_VORBIS", packet_ms).content()


ROWS: Final = (
    *_sndfile_rows(),
    _media_row(MP2),
    Row("Ogg", "FLAC", "", _flac_in_ogg),
    Row("Ogg, chained", "Vorbis", "", partial(_chained_ogg, last=partial(_in_ogg, codec="VORBIS"))),
    Row("Ogg, chained", "Opus", "", partial(_chained_ogg, last=partial(_in_ogg, codec="OPUS"))),
    Row("Ogg, chained", "FLAC", "", partial(_chained_ogg, last=_flac_in_ogg)),
    Row("WebM", "Opus", "", _opus_in_webm),
    Row("WebM", "Vorbis", "", _vorbis_in_webm),
    *map(_media_row, FORMATS.values()),
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
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in ROWS:
        content = row.make(siren)
        with _without_av():
            without = _result(classifier, content)
        groups.setdefault((row.container, without, _result(classifier, content)), []).append(row)
    return table(
        HEAD, [(container, _codecs(rows), *results) for (container, *results), rows in groups.items()]
    )


def _codecs(rows: list[Row]) -> str:
    """List the codecs of rows, each once with its variants."""
    variants: dict[str, dict[str, None]] = {}
    for row in rows:
        variants.setdefault(row.codec, {})[row.variant] = None
    return ", ".join(codec.format(", ".join(names)) for codec, names in variants.items())


def _result(classifier: AudioClassifier, content: bytes) -> str:
    try:
        predictions = classifier.predict(content)
    except UnsupportedFormatError:
        return "refused"
    except AudioError as error:
        return f"**`{error.code}`**"
    for prediction in predictions:
        if prediction.label in ("Alarm", "Siren") and prediction.probability > MIN_PROBABILITY:
            return "read"
    return f"**wrong: {predictions[0].label}**"


if __name__ == "__main__":
    replace_block(Path(sys.argv[1]), "formats", measured_table())
