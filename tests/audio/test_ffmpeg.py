"""Formats that FFmpeg decodes: positions, damage, limits, and files that refer to others."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.audio.demuxers import DEMUXERS, OTHER_CODECS, Demuxer
from audio_classifier.audio.ffmpeg import FFmpegStream
from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.errors import (
    DamagedAudioError,
    EmptyAudioError,
    StartBeyondEndError,
    TransferError,
    UnreadableAudioError,
    UnsupportedAudioError,
    UnsupportedFormatError,
)
from tests.support.media import FORMATS, encode_media
from tests.support.sounds import busy, encode

pytest.importorskip("av", reason="the extra formats is not installed")

RATE_HZ = 16_000
DURATION_S = 8.0
SIGNAL = busy(DURATION_S, RATE_HZ)
# The delay of the encoder, which these containers do not state, and the rounding of decoders with dither.
DELAYS_MS = {
    **dict.fromkeys(("ADTS", "AAC in WAV", "AAC in MPEG-TS", "AAC in FLV", "MP4-fragmented"), 23.2),
    "AMR": 5,
    "3GP": -1.25,
    "WMA": -46.4,
    "G.722 in WAV": 1.4,
    "AC-3": 5.3,
    "E-AC-3": 5.3,
    "VOC": 0,
    "MP3 in AVI": 25.1,
    "MP2 in MPEG-PS": 10,
}
TOLERANCES = {"3GP": 0.005, "AMR": 0.005, "AC-3": 0.005, "E-AC-3": 0.005, "MP2 in MPEG-PS": 0.001}
MOV = Demuxer("mov", "MP4", is_indexed=True)


@cache
def media(name: str) -> bytes:
    return encode_media(SIGNAL, RATE_HZ, FORMATS[name])


@cache
def whole(name: str) -> NDArray[np.float32]:
    with AudioReader(media(name)) as reader:
        return reader.read(0, 60 * RATE_HZ)


class CountedFile(io.BytesIO):
    """A file that counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def delay_ms(samples: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return by how much samples are later than expected."""
    size = 1 << 18
    product = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(expected, size))
    lag = int(np.fft.irfft(product).argmax())
    return (lag - size if lag > size // 2 else lag) * 1000 / RATE_HZ


@pytest.mark.parametrize("name", FORMATS)
def test_whole_recording_is_decoded_in_time(name: str) -> None:
    samples = whole(name)
    assert len(samples) / RATE_HZ == pytest.approx(DURATION_S, abs=0.07)
    assert delay_ms(samples, SIGNAL[:, 0]) == pytest.approx(DELAYS_MS.get(name, 0), abs=0.2)
    assert not any(warning.code != "clipped" for warning in AudioReader(media(name)).warnings)


@pytest.mark.parametrize("name", FORMATS)
def test_stated_length_is_that_of_the_audio(name: str) -> None:
    with AudioReader(media(name)) as reader:
        duration_s = reader.info.duration_s
    assert duration_s is None or duration_s == pytest.approx(DURATION_S, abs=0.04)


@pytest.mark.parametrize("name", FORMATS)
def test_windows_in_any_order_equal_the_whole_decoding(name: str) -> None:
    expected = whole(name)
    with AudioReader(media(name)) as reader:
        for start_s in (5.0, 0.3, 6.5, 7.9, 2.0, 2.1, 0.0):
            start = int(start_s * RATE_HZ)
            samples = reader.read(start, RATE_HZ)
            wanted = expected[start : start + RATE_HZ]
            assert len(samples) == len(wanted)
            np.testing.assert_allclose(samples, wanted, rtol=0, atol=TOLERANCES.get(name, 1e-5))


@pytest.mark.parametrize("name", FORMATS)
def test_start_beyond_the_end_is_refused(name: str) -> None:
    for start_s in (9.0, 500.0, 1e8):
        with pytest.raises((StartBeyondEndError, DamagedAudioError), match=r"no audio|beyond the end"):
            read_window(media(name), start_s=start_s)


@pytest.mark.parametrize("name", FORMATS)
def test_classes_of_a_siren_are_kept(name: str, classifier: AudioClassifier, assets: Path) -> None:
    with AudioReader(assets / "siren.wav") as reader:
        siren = reader.read(0, 10 * RATE_HZ)
    top = classifier.predict(encode_media(siren, RATE_HZ, FORMATS[name]))
    assert {prediction.label for prediction in top[:2]} == {"Alarm", "Siren"}
    assert top[0].probability > 0.8


@pytest.mark.parametrize("channels", [2, 8, 16])
def test_any_number_of_planar_channels_is_decoded(channels: int) -> None:
    """PyAV's conversion of eight planar channels to an array ends the process."""
    name = "WavPack" if channels == 16 else "M4A"
    signal = np.repeat(busy(1, 44_100), channels, axis=1)
    with AudioReader(encode_media(signal, 44_100, FORMATS[name])) as reader:
        assert reader.info.channels == channels
        samples = reader.read(0, RATE_HZ)
    with AudioReader(encode(busy(1, 44_100), 44_100)) as reader:
        assert np.corrcoef(samples, reader.read(0, RATE_HZ))[0, 1] > 0.95


def test_sixteen_bit_samples_stay_integers() -> None:
    stream = FFmpegStream(io.BytesIO(media("PCM in QuickTime")), MOV)
    block = stream.read(100)
    assert block.dtype == np.int16
    assert block.shape == (100, 1)
    stream.close()


def test_window_of_a_video_reads_little_of_it() -> None:
    signal = np.random.default_rng(0).standard_normal(60 * 48_000) * 0.1
    content = encode_media(signal, 48_000, replace(FORMATS["MP4"], codec_options={}))
    file = CountedFile(content)
    with AudioReader(file) as reader:
        reader.window(40, 15_600)
    assert file.count < len(content) / 2


def test_hole_in_the_data_becomes_silence_of_the_same_length() -> None:
    content = bytearray(media("M4A"))
    middle = len(content) // 2
    content[middle : middle + 12_000] = bytes(12_000)
    with AudioReader(bytes(content)) as reader:
        samples = reader.read(0, 60 * RATE_HZ)
        codes = [warning.code for warning in reader.warnings]
    assert len(samples) == len(whole("M4A"))
    assert codes == ["partly_read"]
    np.testing.assert_allclose(samples[-RATE_HZ:], whole("M4A")[-RATE_HZ:], atol=1e-4)
    silent = np.flatnonzero(samples == 0)
    assert 0.5 * RATE_HZ < len(silent) < 3 * RATE_HZ
    for start in (silent[len(silent) // 2], silent[-1] - 100, silent[-1] + 100):
        with AudioReader(bytes(content)) as reader:
            window = reader.read(start, RATE_HZ)
        # The first packet behind the hole overlaps the one before, whose state only the whole decoding has.
        assert np.isclose(window, samples[start : start + RATE_HZ], atol=1e-4).mean() > 0.95


@pytest.mark.parametrize("name", ["WavPack", "TTA", "AAC in Matroska"])
def test_truncated_file_is_read_as_far_as_it_goes(name: str) -> None:
    content = media(name)
    with AudioReader(content[: len(content) // 2]) as reader:
        samples = reader.read(0, 60 * RATE_HZ)
        warnings = {warning.code: warning for warning in reader.warnings}
    assert 2 * RATE_HZ < len(samples) < 6 * RATE_HZ
    assert warnings["truncated"].details["end_s"] == pytest.approx(len(samples) / RATE_HZ, abs=0.05)


@pytest.mark.parametrize("name", FORMATS)
def test_file_that_ends_within_its_header_is_refused(name: str) -> None:
    with pytest.raises((UnreadableAudioError, DamagedAudioError, EmptyAudioError)):
        read_window(media(name)[:26])


def test_data_without_audio_are_read_up_to_a_limit() -> None:
    file = CountedFile(media("AC-3") + bytes(64 << 20))
    with AudioReader(file) as reader, pytest.raises(DamagedAudioError, match="too much data without audio"):
        reader.read(0, 60 * RATE_HZ)
    assert file.count < 40 << 20


def test_mostly_damaged_data_are_refused_with_the_codec(golden_data: Path) -> None:
    with pytest.raises(DamagedAudioError, match="AAC data in the WAV file"):
        read_window(golden_data / "inputs" / "aac_in_wav.wav")


def test_noise_in_a_known_container_is_refused_with_the_codec() -> None:
    content = bytearray(media("M4A"))
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[begin:end] = np.random.default_rng(0).bytes(end - begin)
    with pytest.raises(DamagedAudioError, match="AAC"):
        read_window(bytes(content))


def test_video_without_audio_is_refused() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        output.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(video.encode(None))
    with pytest.raises(EmptyAudioError, match="no audio track"):
        read_window(file.getvalue())


def test_unknown_codec_is_refused() -> None:
    content = media("ALAC").replace(b"alac", b"zzzz")
    with pytest.raises(UnsupportedFormatError, match="MP4 file contains audio of an unknown codec"):
        read_window(content)


def test_limits_apply_to_rates() -> None:
    with pytest.raises(UnsupportedAudioError, match="sample rate"):
        read_window(encode_media(busy(1, 1000), 1000, replace(FORMATS["PCM in QuickTime"], rate_hz=1000)))


def test_exception_of_the_file_is_raised_unchanged() -> None:
    class BrokenFile(CountedFile):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.count > 100_000:
                raise TransferError("the object cannot be read")
            return super().read(size)

    with pytest.raises(TransferError, match="the object cannot be read"):
        read_window(BrokenFile(media("ALAC")))


@pytest.mark.parametrize("start_s", [0.0, 6.0])
def test_file_object_may_return_fewer_bytes_than_requested(start_s: float) -> None:
    class SlowFile(CountedFile):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(1000, size or 0))

    expected = read_window(media("M4A"), start_s=start_s)
    np.testing.assert_array_equal(read_window(SlowFile(media("M4A")), start_s=start_s), expected)


def playlists(target: Path) -> Iterator[bytes]:
    yield f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:8,\n{target}\n#EXT-X-ENDLIST\n".encode()
    yield f"ffconcat version 1.0\nfile '{target}'\n".encode()
    yield f"[playlist]\nFile1={target}\n".encode()


def test_playlists_are_refused_as_text(tmp_path: Path) -> None:
    for content in playlists(tmp_path / "other.ts"):
        with pytest.raises(UnsupportedFormatError, match="text"):
            read_window(content)


@pytest.mark.parametrize(("demuxer", "index"), [("hls", 0), ("concat", 1)])
def test_demuxer_that_opens_other_files_could_not_do_so(tmp_path: Path, demuxer: str, index: int) -> None:
    """No file leads to these demuxers; if one did, they would find nothing."""
    import av

    target = tmp_path / "other.ts"
    target.write_bytes(media("AAC in MPEG-TS"))
    content = [*playlists(target)][index]
    playlist = tmp_path / "playlist"
    playlist.write_bytes(content)
    options = {"safe": "0", "allowed_extensions": "ALL", "extension_picky": "0"}
    with av.open(str(playlist), format=demuxer, options=options) as control:  # the file is a valid example
        assert control.streams.audio
    with pytest.raises(UnreadableAudioError, match=r"refers to another file|not permitted"):
        FFmpegStream(io.BytesIO(content), Demuxer(demuxer, "list"))


def test_only_demuxers_for_single_files_are_used() -> None:
    used = {demuxer.name for demuxer in (*DEMUXERS.values(), *OTHER_CODECS.values())}
    opening_others = {
        "concat",
        "dash",
        "hls",
        "image2",
        "imf",
        "lavfi",
        "rtp",
        "rtsp",
        "sap",
        "sdp",
        "vobsub",
    }
    assert not used & opening_others


def with_external_data(content: bytes, target: Path) -> bytes:
    """Let the samples of a QuickTime file be in another file, which an alias record names.

    Source of the record: ``mov_read_dref`` in FFmpeg's ``libavformat/mov.c``.
    """
    name = str(target).encode()
    path = struct.pack(">HH", 2, len(name)) + name + b"\0" * (len(name) % 2)
    entry = b"alis" + bytes(4) + bytes(150) + path + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I", 4 + len(entry)) + entry
    own = struct.pack(">I4sI", 12, b"url ", 1)
    position = content.index(own)
    for name_of_box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = content.rindex(name_of_box, 0, position) - 4
        (size,) = struct.unpack_from(">I", content, start)
        size += len(entry) - len(own)
        content = content[:start] + struct.pack(">I", size) + content[start + 4 :]
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:begin] + bytes(end - begin) + content[end:position] + entry + content[position + 12 :]


def test_external_data_of_a_quicktime_file_are_not_read(tmp_path: Path) -> None:
    import av

    target = tmp_path / "samples.mov"
    target.write_bytes(media("PCM in QuickTime"))
    path = tmp_path / "refers.mov"
    path.write_bytes(with_external_data(media("PCM in QuickTime"), target))
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(path), options=options) as control:  # the file is a valid example
        assert next(control.decode(audio=0)).to_ndarray().any()
    for source in (path, path.read_bytes()):
        with pytest.raises(EmptyAudioError):
            read_window(source)


def test_import_is_lazy() -> None:
    code = (
        "import io, sys; from tests.support.sounds import busy, encode\n"
        "from audio_classifier.audio.reader import read_window\n"
        "read_window(encode(busy(1, 16_000), 16_000)); assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
