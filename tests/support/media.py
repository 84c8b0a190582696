"""Media files that libsndfile does not read, encoded by PyAV."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import soxr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

VIDEO_PIXELS: Final = 32
VIDEO_FRAMES_PER_S: Final = 25
LAYOUTS: Final = {1: "mono", 2: "stereo", 8: "7.1", 16: "hexadecagonal"}


@dataclass(frozen=True)
class MediaFormat:
    """How to encode a media file.

    Attributes
    ----------
    label, codec_label
        The names of container and codec for people.
    container, codec
        FFmpeg's names of the muxer and the encoder.
    rate_hz
        The sample rate.
    bit_rate
        Bits per second, or None for the encoder's own choice.
    codec_options, muxer_options
        Options of FFmpeg.
    with_video
        Whether a video track precedes the audio.
    finish
        Changes the encoded file.
    """

    label: str
    codec_label: str
    container: str
    codec: str
    rate_hz: int = 44_100
    bit_rate: int | None = None
    codec_options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)
    with_video: bool = False
    finish: Callable[[bytes], bytes] = bytes


# AAC without the noise that its decoder invents, so that every decoding of a file is equal.
EXACT_AAC: Final = {"aac_pns": "0"}


def adts_in_wav(content: bytes) -> bytes:
    """Put an AAC stream into a WAV file, with its registered format tag."""
    fmt = struct.pack("<HHIIHH", 0x1600, 1, 44_100, 16_000, 1, 0)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


FORMATS: Final = {
    "M4A": MediaFormat("M4A", "AAC", "ipod", "aac", codec_options=EXACT_AAC),
    "ALAC": MediaFormat("M4A", "ALAC", "ipod", "alac"),
    "MP4": MediaFormat(
        *("MP4 with video", "AAC", "mp4", "aac", 48_000), codec_options=EXACT_AAC, with_video=True
    ),
    "MP4-fragmented": MediaFormat(
        *("MP4, fragmented", "AAC", "mp4", "aac"),
        codec_options=EXACT_AAC,
        muxer_options={"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"},
    ),
    "Opus in MP4": MediaFormat("MP4", "Opus", "mp4", "libopus", 48_000),
    "PCM in QuickTime": MediaFormat("QuickTime", "PCM (16 bits)", "mov", "pcm_s16le"),
    "3GP": MediaFormat("3GP", "AMR-NB", "3gp", "libopencore_amrnb", 8_000, 12_200),
    "AMR": MediaFormat("AMR", "AMR-NB", "amr", "libopencore_amrnb", 8_000, 12_200),
    "ADTS": MediaFormat("AAC (ADTS)", "AAC", "adts", "aac", codec_options=EXACT_AAC),
    "AAC in WAV": MediaFormat(*("WAV", "AAC", "adts", "aac"), codec_options=EXACT_AAC, finish=adts_in_wav),
    "G.722 in WAV": MediaFormat("WAV", "G.722", "wav", "g722", 16_000),
    "WMA": MediaFormat("WMA (ASF)", "Windows Media Audio 2", "asf", "wmav2", bit_rate=128_000),
    "WavPack": MediaFormat("WavPack", "WavPack", "wv", "wavpack"),
    "TTA": MediaFormat("True Audio", "TTA", "tta", "tta"),
    "VOC": MediaFormat("VOC", "PCM (8 bits)", "voc", "pcm_u8", 22_222),
    "AC-3": MediaFormat("AC-3", "AC-3", "ac3", "ac3", 48_000),
    "E-AC-3": MediaFormat("E-AC-3", "E-AC-3", "eac3", "eac3", 48_000),
    "AAC in Matroska": MediaFormat("Matroska", "AAC", "matroska", "aac", codec_options=EXACT_AAC),
    "FLAC in Matroska": MediaFormat("Matroska", "FLAC", "matroska", "flac"),
    "MP3 in AVI": MediaFormat("AVI with video", "MP3", "avi", "libmp3lame", with_video=True),
    "AAC in FLV": MediaFormat("FLV", "AAC", "flv", "aac", codec_options=EXACT_AAC),
    "AAC in MPEG-TS": MediaFormat(
        *("MPEG transport stream", "AAC", "mpegts", "aac"), codec_options=EXACT_AAC
    ),
    "MP2 in MPEG-PS": MediaFormat("MPEG program stream", "MP2", "mpeg", "mp2", 48_000),
}


def encode_media(signal: NDArray[np.floating], rate_hz: int, media: MediaFormat) -> bytes:
    """Encode a signal, ``(frames,)`` or ``(frames, channels)``, at the rate of the format."""
    import av

    frames = signal.reshape(len(signal), -1)
    if media.rate_hz != rate_hz:
        frames = soxr.resample(frames, rate_hz, media.rate_hz)
    pcm = (frames.clip(-1, 1) * 32_767).astype(np.int16)
    layout = LAYOUTS[pcm.shape[1]]
    file = io.BytesIO()
    with av.open(
        file, "w", format=media.container, options={"fflags": "+bitexact", **media.muxer_options}
    ) as output:
        video = output.add_stream("mpeg4", rate=VIDEO_FRAMES_PER_S) if media.with_video else None
        if video is not None:
            video.width = video.height = VIDEO_PIXELS
            video.pix_fmt = "yuv420p"
        audio = cast(
            "AudioStream",
            output.add_stream(media.codec, rate=media.rate_hz, layout=layout, options=media.codec_options),
        )
        if media.bit_rate:
            audio.bit_rate = media.bit_rate
        step = media.rate_hz // VIDEO_FRAMES_PER_S
        for number, start in enumerate(range(0, len(pcm), step)):
            if video is not None:
                picture = av.VideoFrame.from_ndarray(
                    np.full((VIDEO_PIXELS, VIDEO_PIXELS, 3), number % 256, np.uint8), "rgb24"
                )
                picture.pts, picture.time_base = number, Fraction(1, VIDEO_FRAMES_PER_S)
                output.mux(video.encode(picture))
            block = np.ascontiguousarray(pcm[start : start + step]).reshape(1, -1)
            sound = av.AudioFrame.from_ndarray(block, "s16", layout)
            sound.sample_rate, sound.pts, sound.time_base = media.rate_hz, start, Fraction(1, media.rate_hz)
            output.mux(audio.encode(sound))
        if video is not None:
            output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return media.finish(file.getvalue())
