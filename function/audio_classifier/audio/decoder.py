"""Decode a stream to mono frames at its own rate, from any position."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel, ChannelComparison, channel_index
from audio_classifier.audio.levels import (
    InvalidSamples,
    Levels,
    full_scale,
    integer_scale,
    magnitude,
    without_invalid,
)
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.warnings import CHANNELS_CANCEL, PARTLY_READ, RESCALED, TRUNCATED, AudioWarning

# Samples of all channels decoded at once, which bounds the memory that a file with 1,024 channels takes.
BLOCK_SAMPLES: Final = 1 << 18
FLOAT_SUBTYPES: Final = ("FLOAT", "DOUBLE")
FLOAT_HEADROOM: Final = 4.0  # 12 dB above full scale
MAX_MISSING_S: Final = 0.5  # at the end of a stream; less can be rounding of the stated length
PROBES: Final = 8  # positions at which a file of floats is read to find out its scale
PROBE_FRAMES: Final = 1024


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
        self._channel = channel_index(channel, self.info.channels)
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
        """The warnings about everything that was read so far, apart from its levels."""
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
        invalid = InvalidSamples()
        comparison = ChannelComparison(self.info.channels)
        block_frames = max(1, BLOCK_SAMPLES // self.info.channels)
        self._stream.expect(stop - begin)
        while self._position < stop:
            block = self._stream.read(min(block_frames, stop - self._position))
            if len(block) == 0:
                self._check_end()
                break
            if self._channel is not None:
                block = block[:, self._channel, np.newaxis]
            block, peak = invalid.replaced(block, self._position)
            if self.info.subtype in FLOAT_SUBTYPES:  # lossy codecs can exceed full scale
                self._update_scale(block, peak)
            self._position += len(block)
            scale = self._full_scale(block)
            levels.count(block, peak, full_scale(self.info.subtype) * scale)
            if self._comparing:
                comparison.add(block, scale)
            mono.append(self._mixed(block))
        invalid.check(self.info.sample_rate_hz)
        levels.invalid = invalid.samples
        if self._comparing and comparison.is_conclusive:
            self._comparing = False
            if comparison.is_cancelled:
                self._use_channel(comparison.loudest)
                self._seek(begin)
                return self._decode(stop)
        for samples in mono:
            levels.add_peak(samples)
        self._levels.add(levels)
        return mono

    def _check_end(self) -> None:
        """Warn if the stream ends long before the end that the file states: data in it are missing."""
        missing_s = ((self.info.frames or 0) - self._position) / self.info.sample_rate_hz
        known = {warning.code for warning in self.warnings}
        if missing_s > MAX_MISSING_S and not known & {TRUNCATED, PARTLY_READ}:
            stated_s, end_s = self.info.duration_s, self._position / self.info.sample_rate_hz
            message = f"only {end_s:.4g} s of audio could be read, although the file states {stated_s:.4g} s"
            self._warnings.append(
                AudioWarning(PARTLY_READ, message, {"read_s": round(end_s, 3), "stated_s": stated_s})
            )

    def _full_scale(self, block: NDArray[Any]) -> float:
        return 2.0**15 if block.dtype == np.int16 else self._scale

    def _mixed(self, block: NDArray[Any]) -> NDArray[Any]:
        channels = block.shape[1]
        weight = self._dtype.type(1 / channels / self._full_scale(block))
        return block[:, 0] * weight if channels == 1 else block @ np.full(channels, weight)

    def _use_channel(self, channel: int) -> None:
        self._channel = channel
        message = f"the channels cancel each other out in their mean; channel {channel + 1} was used"
        self._warnings.append(AudioWarning(CHANNELS_CANCEL, message, {"channel": channel + 1}))

    def _update_scale(self, block: NDArray[Any], peak: float) -> None:
        """Decide at the first block that is not silent whether floats are in the scale of integers.

        Later blocks change the decision only if they exceed the headroom of a full scale of 1.
        """
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
