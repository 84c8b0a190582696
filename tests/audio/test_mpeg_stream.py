from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.mpeg import frame_kind
from audio_classifier.audio.mpeg_file import open_mpeg
from audio_classifier.audio.mpeg_frames import MAX_RUNS
from audio_classifier.audio.mpeg_scan import MAX_GAP_BYTES
from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import AudioError, EmptyAudioError, StartBeyondEndError
from tests.support.mpeg import APE, ID3V1, ID3V2, LAME_DELAY, LYRICS, mp3, mpeg_frames, without_tag
from tests.support.sounds import busy

INPUTS = Path("../shared/inputs")
CBR = mp3(busy(6, 44_100, 2), 44_100)
VBR = mp3(busy(6, 44_100, 2), 44_100, "VARIABLE")
MONO = mp3(busy(4, 16_000), 16_000, "VARIABLE")


class CountingFile(io.BytesIO):
    """A file that counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def opened(content: bytes | io.BytesIO) -> tuple[list[FrameStream], list[AudioWarning]]:
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    mpeg = open_mpeg(file)
    assert mpeg is not None
    return mpeg


def read(stream: FrameStream, start: int = 0, count: int = 1 << 40) -> NDArray[Any]:
    stream.seek(start)
    stream.expect(count)
    blocks = [np.empty((0, stream.info.channels), np.float32)]
    while count > 0 and len(block := stream.read(min(count, 100_000))):
        blocks.append(block)
        count -= len(block)
    return np.concatenate(blocks)


def read_all(content: bytes) -> tuple[NDArray[Any], dict[str, dict[str, Any]]]:
    """Return the samples of the only stream, and the details of the warnings by code."""
    (stream,), warnings = opened(content)
    samples = read(stream)
    assert stream.info.frames == len(samples)
    return samples, {warning.code: warning.details for warning in [*warnings, *stream.warnings]}


def decoded(content: bytes) -> NDArray[Any]:
    """Decode a file with libsndfile as a whole, without a seek, which would change the rounding."""
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        samples: NDArray[Any] = file.read(dtype="float32", always_2d=True)
    return samples


def constant_frames(count: int) -> bytes:
    """Return frames of a constant bit rate without a tag, at 48 kHz."""
    frames = mpeg_frames(mp3(busy(2, 48_000), 48_000))[1:]
    return b"".join(frames) * (count // len(frames))


def with_stated_frames(content: bytes, frames: int) -> bytes:
    """Change the number of frames in a tag."""
    first = mpeg_frames(content)[0]
    position = max(first.find(b"Xing"), first.find(b"Info")) + 8
    return content[:position] + frames.to_bytes(4, "big") + content[position + 4 :]


@pytest.mark.parametrize(
    ("rate_hz", "channels"),
    [(48_000, 1), (44_100, 2), (32_000, 1), (24_000, 2), (22_050, 1), (16_000, 2), (12_000, 1), (8_000, 2)],
)
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("level", [0.3, 0.97])
def test_windows_equal_those_of_the_whole_file(
    rate_hz: int, channels: int, mode: Literal["CONSTANT", "VARIABLE"], level: float
) -> None:
    content = mp3(busy(6, rate_hz, channels), rate_hz, mode, level)
    expected = decoded(content)
    (stream,), warnings = opened(content)
    assert not warnings
    assert stream.info.frames == len(expected)
    rng = np.random.default_rng(0)
    starts = [0, 1, 575, 1151, len(expected) - 1, *rng.integers(0, len(expected), 8)]
    for start in map(int, starts):
        count = int(rng.integers(1, 3 * rate_hz))
        np.testing.assert_array_equal(read(stream, start, count), expected[start : start + count])
    np.testing.assert_array_equal(read(stream), expected)


@pytest.mark.parametrize("content", [CBR, VBR], ids=["constant", "variable"])
def test_file_without_tag_is_read_to_its_end(content: bytes) -> None:
    samples, warnings = read_all(without_tag(content))
    expected = decoded(content)
    assert len(samples) == (len(mpeg_frames(content)) - 1) * 1152
    np.testing.assert_array_equal(samples[LAME_DELAY:][: len(expected)], expected)
    assert not warnings


@pytest.mark.parametrize("content", [CBR, VBR], ids=["constant", "variable"])
def test_file_is_read_to_its_end_when_tag_states_fewer_frames(content: bytes) -> None:
    samples, warnings = read_all(with_stated_frames(content, 20))
    expected, _ = read_all(without_tag(content))
    np.testing.assert_array_equal(samples, expected[LAME_DELAY:])
    assert not warnings


@pytest.mark.parametrize("content", [CBR, VBR], ids=["constant", "variable"])
def test_length_is_the_true_one_when_tag_states_more_frames(content: bytes) -> None:
    samples, warnings = read_all(with_stated_frames(content, 10_000))
    expected, _ = read_all(without_tag(content))
    np.testing.assert_array_equal(samples, expected[LAME_DELAY:])
    assert warnings["truncated"]["stated_s"] == pytest.approx(10_000 * 1152 / 44_100, abs=0.001)


@pytest.mark.parametrize("content", [CBR, VBR], ids=["constant", "variable"])
def test_truncated_file_is_read_to_its_last_whole_frame(content: bytes) -> None:
    samples, warnings = read_all(content[: len(content) // 2])
    np.testing.assert_array_equal(samples, decoded(content)[: len(samples)])
    assert 2.9 < len(samples) / 44_100 < 3.1
    assert warnings["truncated"]["end_s"] == pytest.approx((len(samples) + LAME_DELAY) / 44_100, abs=0.001)


def test_cut_frame_is_reported_without_a_tag() -> None:
    _, warnings = read_all(without_tag(CBR)[:-1])
    assert set(warnings) == {"truncated"}


@pytest.mark.parametrize(
    "between",
    [b"", ID3V1, ID3V1 + ID3V2, APE + ID3V1 + ID3V2, LYRICS + ID3V1, ID3V2 * 3],
    ids=["nothing", "ID3v1", "ID3v1 and ID3v2", "APE and ID3", "Lyrics3", "several"],
)
def test_concatenated_files_are_read_to_the_end(between: bytes) -> None:
    samples, warnings = read_all(ID3V2 + VBR + between + VBR + ID3V1)
    first, second = mpeg_frames(VBR), mpeg_frames(VBR)
    expected, _ = read_all(b"".join(first[1:] + second))
    np.testing.assert_array_equal(samples, expected[LAME_DELAY:])
    assert not warnings


def test_window_that_begins_at_a_tag_in_the_middle_is_exact() -> None:
    frames = [*mpeg_frames(VBR)[1:], *mpeg_frames(VBR)]
    tag = len(mpeg_frames(VBR)) - 1
    (stream,), _ = opened(b"".join(frames))
    expected = read(stream)
    for frame in range(tag - 2, tag + 20):
        start = frame * 1152
        np.testing.assert_array_equal(read(stream, start, 2_000), expected[start : start + 2_000])


@pytest.mark.parametrize(
    "junk", [bytes(1 << 20), np.random.default_rng(1).bytes(1 << 20)], ids=["0", "noise"]
)
@pytest.mark.parametrize("content", [CBR, VBR, without_tag(CBR)], ids=["constant", "variable", "without tag"])
def test_gap_between_frames_is_skipped_and_reported(content: bytes, junk: bytes) -> None:
    frames = mpeg_frames(content)
    samples, warnings = read_all(b"".join((*frames[:100], junk, *frames[100:])))
    np.testing.assert_array_equal(samples, read_all(content)[0])
    assert warnings["partly_read"]["skipped_bytes"] == len(junk)


def test_audio_behind_a_longer_gap_is_reported() -> None:
    content = without_tag(VBR)
    samples, warnings = read_all(content + bytes(MAX_GAP_BYTES + 1) + content)
    assert len(samples) == len(read_all(content)[0])
    assert warnings["partly_read"]["skipped_bytes"] == MAX_GAP_BYTES + 1 + len(content)


@pytest.mark.parametrize("tag", [ID3V1, APE, LYRICS + ID3V1, b"\n", bytes(500)])
def test_tag_or_a_few_bytes_behind_the_audio_are_no_reason_for_a_warning(tag: bytes) -> None:
    samples, warnings = read_all(VBR + tag)
    assert abs(len(samples) - 6 * 44_100) < 1152
    assert not warnings


@pytest.mark.parametrize("cut", [1, 200, 300])
def test_file_that_begins_within_a_frame_is_read_from_the_next_one(cut: int) -> None:
    frames = mpeg_frames(without_tag(CBR))
    content = frames[10][cut:] + b"".join(frames[11:])
    samples, warnings = read_all(content)
    np.testing.assert_array_equal(samples, read_all(b"".join(frames[11:]))[0])
    assert not warnings
    assert len(read_window(content)) > 0


@pytest.mark.parametrize("count", [1, 5_000, 1 << 20])
def test_file_that_begins_with_zeros_is_read(count: int) -> None:
    np.testing.assert_array_equal(read_window(bytes(count) + CBR), read_window(CBR))


@pytest.mark.parametrize("second", [mp3(busy(4, 22_050, 2), 22_050), mp3(busy(4, 44_100), 44_100)])
def test_change_of_rate_or_channels_begins_another_stream(second: bytes) -> None:
    streams, warnings = opened(VBR + ID3V2 + second + VBR)
    assert [len(read(stream)) for stream in streams] == [stream.info.frames for stream in streams]
    assert not warnings
    duration_s = sum(stream.info.duration_s or 0 for stream in streams)
    assert duration_s == pytest.approx(16, abs=0.3)
    with AudioReader(VBR + ID3V2 + second + VBR) as reader:
        assert len(reader.window(15, 15_600)) > 0


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        ("fffb9064", 1152),
        ("fff39064", 576),
        ("ffe39064", 576),
        ("fffda404", 1152),
        ("fff5a404", 1152),
        ("ffffe200", 384),
        ("fff7a400", 384),
    ],
)
def test_all_layers_and_versions_are_read(header: str, samples: int) -> None:
    data = bytes.fromhex(header)
    kind = frame_kind(data)
    assert kind is not None
    frame = data + bytes(kind.lengths[data[2]] - 4)
    silence, _ = read_all(frame * 50)
    assert silence.shape == (50 * samples, 2)
    assert not silence.any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_file_of_few_frames_is_read(count: int) -> None:
    frames = mpeg_frames(without_tag(CBR))
    samples, _ = read_all(b"".join(frames[:count]))
    assert len(samples) == count * 1152
    np.testing.assert_array_equal(samples, read_all(b"".join(frames))[0][: len(samples)])


def test_free_format_is_left_to_libsndfile() -> None:
    frames = mpeg_frames(without_tag(mp3(busy(3, 48_000), 48_000)))
    free = b"".join(frame[:2] + bytes([frame[2] & 0x0F]) + frame[3:] for frame in frames)
    np.testing.assert_array_equal(read_window(free)[:16_000], read_window(b"".join(frames))[:16_000])


@pytest.mark.parametrize(
    "content",
    [mp3(busy(100, 22_050), 22_050, level=0.3), constant_frames(6_000), constant_frames(6_000) + ID3V1],
    ids=["tag", "no tag", "ID3v1"],
)
def test_window_in_the_middle_of_a_constant_bit_rate_reads_only_the_window(content: bytes) -> None:
    expected = read_all(content)[0]
    file = CountingFile(content)
    (stream,), _ = opened(file)
    assert stream.info.frames == len(expected)
    opening = file.count
    assert opening < 150_000
    start = len(expected) // 2
    np.testing.assert_array_equal(read(stream, start, 10_000), expected[start : start + 10_000])
    assert file.count - opening < 40_000


def test_first_window_of_a_variable_bit_rate_does_not_read_the_whole_file() -> None:
    content = mp3(busy(40, 44_100), 44_100, "VARIABLE", 0)
    file = CountingFile(content)
    (stream,), _ = opened(file)
    np.testing.assert_array_equal(read(stream, 0, 50_000), decoded(content)[:50_000])
    assert file.count < len(content) / 2


def test_loud_recording_is_not_searched_for_its_scale() -> None:
    content = mp3(np.float32(4) * busy(100, 22_050), 22_050)
    file = CountingFile(content)
    with AudioReader(file) as reader:
        assert np.abs(reader.window(0, 15_600)).max() > 1
    assert file.count < 250_000 < len(content)


@pytest.mark.parametrize(
    "content", [constant_frames(6_000), mp3(busy(150, 48_000), 48_000)], ids=["no tag", "tag"]
)
@pytest.mark.parametrize("junk", [b"\0", b"junk"])
def test_overwritten_frames_of_a_constant_bit_rate_are_silent(content: bytes, junk: bytes) -> None:
    frames = mpeg_frames(content)
    begin, end = sum(map(len, frames[:3000])) + 7, sum(map(len, frames[:3100])) - 7
    damaged = (
        content[:begin] + junk * ((end - begin) // len(junk)) + content[end - (end - begin) % len(junk) :]
    )
    expected, _ = read_all(content)
    (stream,), warnings = opened(damaged)
    assert not warnings
    samples = read(stream)
    assert [warning.code for warning in stream.warnings] == ["partly_read"]
    assert len(samples) == len(expected)
    np.testing.assert_array_equal(samples[: 2_995 * 1152], expected[: 2_995 * 1152])
    np.testing.assert_allclose(samples[3_105 * 1152 :], expected[3_105 * 1152 :], atol=1e-6)
    assert not samples[3_005 * 1152 : 3_095 * 1152].any()
    for start in (2_990, 3_050, 3_110, 4_000):
        (stream,), _ = opened(damaged)
        expected = samples[start * 1152 : start * 1152 + 5_000]
        np.testing.assert_allclose(read(stream, start * 1152, 5_000), expected, atol=1e-6)


def test_constant_bit_rate_with_frames_elsewhere_is_read_from_an_index() -> None:
    frames = mpeg_frames(constant_frames(6_000))
    moved = b"".join((*frames[:3_000], bytes(100), *frames[3_000:3_100], *frames[3_101:], bytes(284)))
    expected, _ = read_all(b"".join(frames[:3_100] + frames[3_101:]))
    (stream,), _ = opened(moved)
    np.testing.assert_array_equal(read(stream), expected)
    assert [warning.code for warning in stream.warnings] == ["partly_read"]
    with pytest.raises(StartBeyondEndError, match=f"{len(expected) / 48_000:.4g} s"):
        stream.seek(len(expected) + 1)


def test_start_beyond_the_end_states_the_true_length() -> None:
    with pytest.raises(StartBeyondEndError, match=r"lasts 6\.034 s"):
        read_window(without_tag(VBR), start_s=7)
    frames = mpeg_frames(VBR)
    content = b"".join((*frames[:100], bytes(sum(map(len, frames[100:150]))), *frames[150:]))
    (stream,), _ = opened(content)
    with pytest.raises(StartBeyondEndError, match=r"lasts 4\.7"):
        stream.seek(5 * 44_100)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_frames_do_not_shift_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = mpeg_frames(VBR)
    for number in rng.integers(20, 180, 10):
        frames[number] = frames[number][:4] + rng.bytes(len(frames[number]) - 4)
    samples, _ = read_all(b"".join(frames))
    expected = decoded(VBR)
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples[-5_000:], expected[-5_000:], atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        bytes(20 << 20),
        b"\xff" * (20 << 20),
        bytes.fromhex("fffb9064") * (1 << 20),
        np.random.default_rng(0).bytes(20 << 20),
        b"ID3\x03\0\0\x7f\x7f\x7f\x7f" * 1000,
        b"ID3\x03\0\0\0\0\0\0" * (1 << 20),
    ],
    ids=["zeros", "ones", "headers", "noise", "long tags", "empty tags"],
)
def test_file_without_frames_is_refused_after_a_bounded_part(content: bytes) -> None:
    file = CountingFile(content)
    with pytest.raises(AudioError):
        read_window(file)
    assert file.count < 8 << 20


def test_number_of_streams_is_limited() -> None:
    stereo, mono = mpeg_frames(without_tag(CBR))[:3], mpeg_frames(without_tag(MONO))[:3]
    content = b"".join(stereo + mono) * MAX_RUNS
    streams, _ = opened(content)
    assert len(streams) == MAX_RUNS
    assert streams[0].warnings[0].details["skipped_bytes"] == pytest.approx(len(content) / 2, rel=0.01)


def test_file_whose_frames_are_shorter_than_the_delay_is_empty() -> None:
    first, frame, *_ = mpeg_frames(MONO)
    with pytest.raises(EmptyAudioError, match="no audio"):
        read_window(with_stated_frames(first + frame, 1))


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xfb\x90\x64", CBR[:600], MONO[:100]])
def test_file_without_a_whole_frame_is_refused(content: bytes) -> None:
    with pytest.raises(AudioError):
        read_window(content)


def test_error_of_the_file_is_raised_unchanged() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 300_000:
                raise OSError("connection lost")
            return super().read(size)

    with AudioReader(Failing(constant_frames(6_000)[:290_000])) as reader:
        assert len(reader.window(0, 15_600)) > 0
    with pytest.raises(OSError, match="connection lost"):
        AudioReader(Failing(constant_frames(6_000)))


@pytest.mark.parametrize(
    ("name", "duration_s"),
    [
        ("vbr_without_xing_54s", 54.6),
        ("silence_then_speech_concatenated", 10.4),
        ("starts_mid_frame", 7.9),
    ],
)
def test_files_that_people_have_are_read_to_their_end(name: str, duration_s: float) -> None:
    path = INPUTS / f"{name}.mp3"
    if not path.exists():
        pytest.skip(f"{path} is not available on this machine")
    with AudioReader(path) as reader:
        assert reader.info.duration_s == pytest.approx(duration_s, abs=0.1)
        assert len(reader.read(0, 1 << 30)) == reader.info.samples
        assert len(reader.window(duration_s - 1, 15_600)) > 0
