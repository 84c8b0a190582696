"""Decode a stream to mono frames at its own rate, from any position."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.levels import (
    MAX_ABS_SAMPLE,
    MAX_INVALID_SHARE,
    Levels,
    full_scale,
    integer_scale,
    magnitude,
    without_invalid,
)
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.warnings import CHANNELS_CANCEL, RESCALED, AudioWarning
from audio_classifier.errors import InvalidParameterError, InvalidSamplesError

Channel: TypeAlias = int | Literal["mix"] | None

# Samples of all channels decoded at once, which bounds the memory that a file with 1,024 channels takes.
BLOCK_SAMPLES: Final = 1 << 18
FLOAT_HEADROOM: Final = 4.0  # 12 dB above full scale
FLOAT_SUBTYPES: Final = ("FLOAT", "DOUBLE")  # the only ones whose full scale can differ from 1
PROBES: Final = 8  # positions at which a file of floats is read to find out its scale
PROBE_FRAMES: Final = 1024
# The mean is compared with the channels on some of the frames, which show cancellation as well as all do.
COMPARED_FRAMES: Final = 61
MAX_CANCELLATION: Final = 0.01  # of the loudest channel's power: -20 dB
MIN_POWER: Final = 1e-6  # -60 dBFS; the channels of anything quieter are not compared


class MonoDecoder:
    """Decode a stream to mono frames; reading forward decodes nothing twice.

    Parameters
    ----------
    stream
        The stream, which `close` closes.
    dtype
        Data type of the returned frames.
    levels
        Statistics that are updated with everything that is read.
    channel
        The channel to use, from 1 on; ``"mix"`` for the mean of all; None for the mean, or for the loudest
        channel if the mean is more than 20 dB quieter.

    Raises
    ------
    InvalidParameterError
        If there is no such channel.
    """

    def __init__(
        self,
        stream: FrameStream,
        levels: Levels,
        *,
        dtype: Literal["float32", "float64"] = "float32",
        channel: Channel = None,
    ) -> None:
        self.info = stream.info
        self._stream = stream
        self._channel = _checked_channel(channel, self.info.channels)
        self._comparing = channel is None and self.info.channels > 1
        self._scale = 1.0  # the full scale of floats
        self._scale_known = False
        self._levels = levels
        self._warnings: list[AudioWarning] = []
        self._dtype = np.dtype(dtype)
        self._kept: NDArray[Any] = np.empty(0, dtype)  # the frames that end at `_position`
        self._position = 0  # the stream's position, in frames

    @property
    def warnings(self) -> list[AudioWarning]:
        """What was found in everything that was read so far, apart from its levels."""
        return [*self._stream.warnings, *self._warnings]

    def close(self) -> None:
        self._stream.close()

    def frames(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``[start, stop)`` as one channel; fewer (or none) at the end of the data.

        Raises
        ------
        StartBeyondEndError
            If ``start`` cannot be reached.
        DamagedAudioError, InvalidSamplesError
            If the data cannot be decoded there, or more than 1 % of the samples are not valid.
        """
        kept_from = self._position - len(self._kept)
        kept = self._kept[:0]
        if kept_from <= start <= self._position:
            kept = self._kept[start - kept_from :]
        else:
            self._seek(start)
        self._kept = self._kept[:0]  # keeps `_kept` consistent with `_position` if decoding fails
        mono = np.concatenate([kept, *self._decode(stop)])
        self._kept = mono
        return mono[: stop - start]

    def _seek(self, frame: int) -> None:
        self._position = -1  # unknown if seeking fails, so that the next read seeks again
        self._stream.seek(frame)
        self._position = frame

    def _decode(self, stop: int) -> list[NDArray[Any]]:
        """Decode from the stream's position to ``stop``, and choose the channel when there is a signal."""
        begin, levels = self._position, Levels()
        mono = []
        invalid = _InvalidSamples()
        powers = np.zeros(self.info.channels + 1)  # of the channels and of their mean
        block_frames = max(1, BLOCK_SAMPLES // self.info.channels)
        self._stream.expect(stop - begin)
        while self._position < stop:
            block = self._stream.read(min(block_frames, stop - self._position))
            if len(block) == 0:
                break
            if self._channel is not None:
                block = block[:, self._channel, np.newaxis]
            if block.dtype != np.int16:
                block = invalid.replaced(block, self._position)
                if self.info.subtype in FLOAT_SUBTYPES:
                    self._update_scale(block)
            self._position += len(block)
            levels.count(block, full_scale(self.info.subtype) * self._full_scale(block))
            if self._comparing:
                powers += self._powers(block)
            mono.append(self._mixed(block))
        levels.invalid = invalid.samples
        invalid.check(self.info)
        if self._comparing and powers[:-1].max() > MIN_POWER * (self._position - begin) / COMPARED_FRAMES:
            self._comparing = False
            if powers[-1] < MAX_CANCELLATION * powers[:-1].max():
                self._use_channel(int(powers[:-1].argmax()))
                self._seek(begin)
                return self._decode(stop)
        levels.peak = max(map(magnitude, mono), default=0.0)
        self._levels.add(levels)
        return mono

    def _full_scale(self, block: NDArray[Any]) -> float:
        return 2.0**15 if block.dtype == np.int16 else self._scale

    def _mixed(self, block: NDArray[Any]) -> NDArray[Any]:
        channels = block.shape[1]
        weight = self._dtype.type(1 / channels / self._full_scale(block))
        return block[:, 0] * weight if channels == 1 else block @ np.full(channels, weight)

    def _powers(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of squares of each channel and of their mean, on some of the frames."""
        frames = block[::COMPARED_FRAMES] * self._dtype.type(1 / self._full_scale(block))
        return np.append((frames**2).sum(axis=0), (frames.mean(axis=1) ** 2).sum())

    def _use_channel(self, channel: int) -> None:
        self._channel = channel
        message = f"the channels cancel each other out in their mean; channel {channel + 1} was used"
        self._warnings.append(AudioWarning(CHANNELS_CANCEL, message, {"channel": channel + 1}))

    def _update_scale(self, block: NDArray[Any]) -> None:
        """Find out whether floats are in the scale of integers, at the first block that is not silent.

        Later blocks change the decision only if they exceed the headroom of a full scale of 1.
        """
        peak = magnitude(block)
        is_plausible = peak <= (FLOAT_HEADROOM if self._scale_known else 1)
        if self._scale != 1 or is_plausible:
            self._scale_known = self._scale_known or peak > 0
            return
        self._scale_known = True
        peak = max(peak, self._probed_peak(self._position + len(block)))
        if peak > FLOAT_HEADROOM or np.array_equal(block, np.rint(block)):
            self._scale = integer_scale(peak)
            bits = int(np.log2(self._scale)) + 1
            message = f"the samples are in the scale of {bits}-bit integers and were divided by 2^{bits - 1}"
            self._warnings.append(AudioWarning(RESCALED, message, {"divisor": int(self._scale)}))

    def _probed_peak(self, position: int) -> float:
        """Return the peak of a few short stretches of the file, and continue at a position."""
        peak = 0.0
        step = (self.info.frames or 0) // PROBES
        for number in range(PROBES if step else 0):
            self._stream.seek(number * step)
            block, _ = without_invalid(self._stream.read(PROBE_FRAMES))
            peak = max(peak, magnitude(block))
        self._stream.seek(position)
        return peak


class _InvalidSamples:
    """Replaces samples that are not valid numbers, and counts them."""

    def __init__(self) -> None:
        self.samples = 0
        self._all_samples = 0
        self._first_frame = 0

    def replaced(self, block: NDArray[Any], position: int) -> NDArray[Any]:
        """Return a block with zeros in place of invalid samples."""
        self._all_samples += block.size
        if magnitude(block) <= MAX_ABS_SAMPLE:  # false for NaN
            return block
        valid, invalid = without_invalid(block)
        if self.samples == 0:
            self._first_frame = position + int(invalid.any(axis=1).argmax())
        self.samples += int(invalid.sum())
        return valid

    def check(self, info: AudioInfo) -> None:
        """Raise `InvalidSamplesError` if more than 1 % of the samples are invalid."""
        if self.samples > MAX_INVALID_SHARE * self._all_samples:
            time_s, share = self._first_frame / info.sample_rate_hz, self.samples / self._all_samples
            raise InvalidSamplesError(
                f"{share:.0%} of the samples after {time_s:.4g} s are NaN, infinite or larger than 2^31 "
                "in magnitude; at most 1 % may be"
            )


def _checked_channel(channel: Channel, channels: int) -> int | None:
    """Return the index of the channel to use, or None for all."""
    if channel is None or channel == "mix":
        return None
    if not 1 <= channel <= channels:
        raise InvalidParameterError(
            "channel",
            f"must be 1 to {channels}, the number of channels of the recording, or mix, got {channel}",
        )
    return channel - 1
