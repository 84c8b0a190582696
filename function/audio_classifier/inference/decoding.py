"""Decode recordings to the model's input."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.audio.log_mel import step_log_mel
from audio_classifier.audio.reader import AudioReader, Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES
from audio_classifier.inference.blocks import Block, BlockObserver
from audio_classifier.inference.clip import PreparedClip, prepare_clip


class Decoder(Protocol):
    """Decodes recordings for any number of threads."""

    def clip(
        self,
        source: AudioSource,
        *,
        front_end: FrontEnd = VGGISH,
        start_s: float,
        channel: Channel = None,
        on_block: BlockObserver | None = None,
    ) -> PreparedClip:
        """Decode ten seconds; see `prepare_clip`, also for the errors."""

    def blocks(
        self, source: AudioSource, *, front_end: FrontEnd = VGGISH, channel: Channel = None
    ) -> Generator[Block | AudioWarning, None, None]:
        """Yield the whole recording in blocks of up to ten steps, without gaps, then its warnings.

        Raises
        ------
        AudioError
            If the recording cannot be used, when the stream reaches the fault.
        OSError
            If the file cannot be opened, or whatever a file object raises.
        """


class LocalDecoder:
    """Decodes in this process.

    Parameters
    ----------
    resampler
        See `AudioReader`.
    """

    def __init__(self, resampler: Resampler = "soxr") -> None:
        self._resampler: Resampler = resampler

    def clip(
        self,
        source: AudioSource,
        *,
        front_end: FrontEnd = VGGISH,
        start_s: float,
        channel: Channel = None,
        on_block: BlockObserver | None = None,
    ) -> PreparedClip:
        return prepare_clip(
            source,
            front_end=front_end,
            start_s=start_s,
            channel=channel,
            resampler=self._resampler,
            on_block=on_block,
        )

    def blocks(
        self, source: AudioSource, *, front_end: FrontEnd = VGGISH, channel: Channel = None
    ) -> Generator[Block | AudioWarning, None, None]:
        with AudioReader(source, front_end=front_end, resampler=self._resampler, channel=channel) as reader:
            frames = 0
            for samples, before in reader.blocks(CLIP_PATCHES):
                log_mel = step_log_mel(samples, front_end, before)
                own_samples = samples[before:][: reader.samples]
                yield Block(front_end.seconds(frames), own_samples, log_mel, front_end)
                frames += len(log_mel)
            yield from reader.warnings
