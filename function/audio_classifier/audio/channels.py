"""Choose the channel of a recording: the mean of all, a given one, or the loudest where they cancel."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import InvalidParameterError

Channel: TypeAlias = int | Literal["mix"] | None

COMPARED_FRAMES: Final = 1024  # of each block; they show cancellation as well as all frames do
MAX_CANCELLATION: Final = 0.01  # of the loudest channel's power: -20 dB
MIN_POWER: Final = 1e-6  # -60 dBFS; the channels of anything quieter are not compared


class ChannelComparison:
    """Compares the power of each channel with that of their mean.

    Parameters
    ----------
    channels
        The number of channels.
    """

    def __init__(self, channels: int) -> None:
        self._channel_powers = np.zeros(channels)
        self._mean_power = 0.0
        self._frames = 0

    def add(self, block: NDArray[Any], full_scale: float) -> None:
        """Add ``(frames, channels)`` samples."""
        frames = block[:: max(1, len(block) // COMPARED_FRAMES)].astype(np.float64) / full_scale
        self._channel_powers += np.einsum("ij,ij->j", frames, frames)
        mean = frames.mean(axis=1)
        self._mean_power += float(mean @ mean)
        self._frames += len(frames)

    @property
    def is_conclusive(self) -> bool:
        """Whether there was a signal."""
        return self._frames > 0 and self._channel_powers.max() > MIN_POWER * self._frames

    @property
    def is_cancelled(self) -> bool:
        """Whether the mean is more than 20 dB below the loudest channel."""
        return bool(self._mean_power < MAX_CANCELLATION * self._channel_powers.max())

    @property
    def loudest(self) -> int:
        """The index of the loudest channel."""
        return int(self._channel_powers.argmax())


def channel_index(channel: Channel, channels: int) -> int | None:
    """Return the index of the channel to use, or None for the mean.

    Raises
    ------
    InvalidParameterError
        If a recording with ``channels`` channels has no such channel.
    """
    if channel is None or channel == "mix":
        return None
    if not 1 <= channel <= channels:
        raise InvalidParameterError(
            "channel",
            f"must be 1 to {channels}, the number of channels of the recording, or mix, got {channel}",
        )
    return channel - 1
