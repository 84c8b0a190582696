"""Define the streams of which audio files consist, for all decoders."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.warnings import AudioWarning


class FrameStream(Protocol):
    """Audio of one sample rate and one number of channels; most files contain one stream.

    Attributes
    ----------
    info
        The properties of the stream; ``frames`` may be wrong or None.
    warnings
        Those that were found so far.
    """

    info: AudioInfo
    warnings: list[AudioWarning]

    def seek(self, frame: int) -> None:
        """Continue reading at a frame, to the sample.

        Raises
        ------
        StartBeyondEndError
            If it cannot be reached.
        DamagedAudioError
            If nothing in the file can be decoded.
        """

    def expect(self, count: int) -> None:
        """Announce how many frames will be read from the current position."""

    def read(self, count: int) -> NDArray[Any]:
        """Decode the next frames.

        Returns
        -------
        ``(<= count, channels)`` int16 with a full scale of 2^15, or float32 or float64 with one of 1; none at
        the end of the stream.

        Raises
        ------
        DamagedAudioError
            If the data cannot be decoded there.
        """

    def close(self) -> None:
        """Release the decoder; the file stays open."""
