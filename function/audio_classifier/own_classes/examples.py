"""Examples: windows of recordings with their labels and features."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES, PATCH_FRAMES, PATCH_S
from audio_classifier.errors import AudioClassifierError, StartBeyondEndError
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.decoding import Decoder
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.model.linear_head import pooled
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.model.postprocess import dequantize
from audio_classifier.own_classes.regions import cut, labelled_region, loud_regions, overlaps
from audio_classifier.own_classes.sounds import Sound

SILENCE_DB: Final = -120.0


@dataclass(frozen=True, slots=True)
class Example:
    """A window of a recording.

    Attributes
    ----------
    sound
        The recording.
    start_s, end_s
        Where the window begins and ends.
    labels
        Its classes; empty for a negative.
    features
        ``(256,)`` float32: mean and maximum of the codes of its patches, as `LinearHead` reads them.
    embedding
        ``(128,)`` float32: the mean of the embeddings before they are coded, by which near-duplicates are
        found: codes amplify small differences.
    """

    sound: Sound
    start_s: float
    end_s: float
    labels: frozenset[str]
    features: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadSound:
    """A recording that was read.

    Attributes
    ----------
    duration_s
        Its length, without an incomplete step at the end.
    examples
        Its windows.
    warnings
        What can make the examples wrong, such as a truncated file.
    """

    sound: Sound
    duration_s: float
    examples: list[Example]
    warnings: list[AudioWarning]

    @property
    def is_split(self) -> bool:
        """Whether the examples are less than the recording, or several."""
        return len(self.examples) != 1 or self.examples[0].end_s - self.examples[0].start_s < self.duration_s


@dataclass(frozen=True, slots=True)
class FailedSound:
    """A recording that cannot be used."""

    sound: Sound
    error: AudioClassifierError | OSError


def read_examples(
    sounds: Sequence[Sound], network: PatchNetwork, decoder: Decoder, *, threads: int
) -> Generator[ReadSound | FailedSound, None, None]:
    """Read recordings in ``threads`` threads, and yield the examples of each in their order."""

    def read(sound: Sound) -> ReadSound | FailedSound:
        try:
            encoded = _encode(sound.path, network, decoder)
            return ReadSound(sound, _seconds(len(encoded.codes)), _examples(sound, encoded), encoded.warnings)
        except (AudioClassifierError, OSError) as error:
            return FailedSound(sound, error)

    with closing(prefetched_batches(read, sounds, threads=threads)) as batches:
        for batch in batches:
            yield from batch


def windows_of(sound: Sound, levels_db: NDArray[np.float64]) -> list[range]:
    """Return the windows of a recording, in steps, from the ``(steps,)`` levels in decibels.

    Labelled regions are cut into windows.  A recording without them is one window if it is no longer than
    that.  Otherwise the windows are those of its loud regions; a negative is used as a whole.

    Raises
    ------
    StartBeyondEndError
        If a labelled region begins after the end of the recording.
    """
    steps = len(levels_db)
    for span in sound.spans:
        if span.start_s >= _seconds(steps + 1):
            raise StartBeyondEndError(
                f"a label begins at {span.start_s:g} s, but the recording ends at {_seconds(steps):g} s",
                hint="Correct the start in the table: it is in seconds from the beginning of the file.",
            )
    if sound.spans:
        regions = [labelled_region(span.start_s, span.end_s, steps) for span in sound.spans]
    elif steps <= CLIP_PATCHES or sound.is_negative:
        regions = [range(steps)]
    else:
        regions = loud_regions(levels_db)
    return list(dict.fromkeys(window for region in regions for window in cut(region)))


def levels(block: Block) -> list[float]:
    """Return the level of each step of a block, in decibels relative to full scale."""
    steps = len(block.log_mel) // PATCH_FRAMES
    step_samples = block.front_end.step_samples
    parts = (block.samples[step * step_samples :][:step_samples] for step in range(steps))
    return [_level_db(part) for part in parts]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A whole recording: ``(steps, 128)`` codes and embeddings, and ``(steps,)`` levels in decibels."""

    codes: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    levels_db: NDArray[np.float64]
    warnings: list[AudioWarning]


def _encode(source: AudioSource, network: PatchNetwork, decoder: Decoder) -> _Encoded:
    codes: list[NDArray[np.uint8]] = []
    embeddings: list[NDArray[np.float32]] = []
    levels_db: list[float] = []
    warnings: list[AudioWarning] = []
    for item in decoder.blocks(source):
        if isinstance(item, Block):
            block_codes, block_embeddings = network.encode_with_embeddings(item.log_mel)
            codes.append(block_codes)
            embeddings.append(block_embeddings)
            levels_db += levels(item)
        else:
            warnings.append(item)
    return _Encoded(np.concatenate(codes), np.concatenate(embeddings), np.array(levels_db), warnings)


def _examples(sound: Sound, encoded: _Encoded) -> list[Example]:
    return [
        Example(
            sound,
            _seconds(window.start),
            _seconds(window.stop),
            _labels(sound, window),
            pooled(dequantize(encoded.codes[window.start : window.stop])),
            encoded.embeddings[window.start : window.stop].mean(axis=0),
        )
        for window in windows_of(sound, encoded.levels_db)
    ]


def _labels(sound: Sound, window: range) -> frozenset[str]:
    own = (span.labels for span in sound.spans if overlaps(window, span.start_s, span.end_s))
    return sound.labels.union(*own)


def _level_db(samples: NDArray[np.float32]) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(SILENCE_DB, 10 * float(np.log10(power))) if power else SILENCE_DB


def _seconds(steps: int) -> float:
    return round(steps * PATCH_S, 2)
