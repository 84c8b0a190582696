"""Windows of a recording and their predictions, as a stream."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES, PATCH_S
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.blocks import Block, BlockObserver
from audio_classifier.inference.selection import Prediction, Selection
from audio_classifier.model.network import Network


@dataclass(frozen=True, slots=True)
class Window:
    """The predictions for one window of a recording.

    Where windows overlap, each represents the hop in its middle, so that a sound event does not last longer
    than the sound.  The first window also represents the beginning of the recording, the last one its end.

    Attributes
    ----------
    start_s, end_s
        Where the window begins and ends.
    predictions
        The selected classes, the most probable first.
    core_start_s, core_end_s
        The part of the recording that the window represents.
    probabilities
        ``(classes,)`` float32, of all classes of the model.
    """

    start_s: float
    end_s: float
    predictions: list[Prediction]
    core_start_s: float = field(repr=False, compare=False)
    core_end_s: float = field(repr=False, compare=False)
    probabilities: NDArray[np.float32] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the window without its probabilities, as JSON represents it; times are in seconds."""
        predictions = [asdict(prediction) for prediction in self.predictions]
        return {"start": self.start_s, "end": self.end_s, "predictions": predictions}


def classify_windows(
    blocks: Generator[Block | AudioWarning, None, None],
    network: Network,
    selection: Selection,
    *,
    window_s: float,
    hop_s: float,
    on_block: BlockObserver | None = None,
) -> Generator[Window | AudioWarning, None, None]:
    """Classify the blocks of a recording window by window, and yield its warnings at the end.

    See `AudioClassifier.analyze`.

    The blocks are closed with the stream.

    Raises
    ------
    InvalidParameterError
        At once, if a window or hop is not a positive duration, or the window is longer than a clip or too
        short for the network.
    AudioError
        If the recording cannot be used, when the stream reaches the fault.
    """
    window, hop = _whole_steps("window_s", window_s), _whole_steps("hop_s", hop_s)
    if window > CLIP_PATCHES:
        raise InvalidParameterError(
            "window_s", f"must be at most {CLIP_PATCHES * PATCH_S:g} s, got {window_s:g} s"
        )
    if window < network.min_window_steps:
        raise InvalidParameterError(
            "window_s",
            f"must be at least {network.min_window_steps * PATCH_S:g} s with this model, got {window_s:g} s",
        )
    margin = max(0, window - hop) / 2  # the part at each end that the neighbouring window represents

    def stream() -> Generator[Window | AudioWarning, None, None]:
        pending: Window | None = None
        found: list[AudioWarning] = []
        with closing(blocks):
            only_blocks = _without_warnings(blocks, found)
            for start, end, probabilities in _classified_spans(only_blocks, network, window, hop, on_block):
                if pending is not None:
                    yield pending
                core_start = start if pending is None else start + margin
                pending = Window(
                    start_s=_seconds(start),
                    end_s=_seconds(end),
                    predictions=selection.rank(probabilities),
                    core_start_s=_seconds(core_start),
                    core_end_s=_seconds(end - margin),
                    probabilities=probabilities,
                )
        if pending is not None:
            yield replace(pending, core_end_s=pending.end_s)
        yield from found

    return stream()


def _without_warnings(items: Iterator[Block | AudioWarning], found: list[AudioWarning]) -> Iterator[Block]:
    """Yield the blocks, and add the warnings to ``found``."""
    for item in items:
        if isinstance(item, AudioWarning):
            found.append(item)
        else:
            yield item


def _classified_spans(
    blocks: Iterator[Block], network: Network, window: int, hop: int, on_block: BlockObserver | None
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield each window's first step, the step after its last, and its ``(classes,)`` probabilities.

    The last window ends with the recording.  Windows that begin in the same ten steps are classified at
    once.
    """
    next_start = held_start = 0  # in steps: of the next window, and of the encoded steps that are held
    held: NDArray[Any] | None = None
    for block in blocks:
        if on_block is not None:
            on_block(block)
        encoded = network.encode(block.log_mel)
        held = encoded if held is None else np.concatenate([held, encoded])
        starts = range(next_start, held_start + len(held) - window, hop)
        if starts:
            rows = np.array(starts)[:, np.newaxis] - held_start + np.arange(window)
            for start, probabilities in zip(starts, network.classify_windows(held[rows]), strict=True):
                yield start, start + window, probabilities
            next_start = starts[-1] + hop
        finished = min(max(0, next_start - held_start), len(held))
        held, held_start = held[finished:], held_start + finished
    if held is not None and (end := held_start + len(held)) > next_start:
        (probabilities,) = network.classify_windows(held[np.newaxis, next_start - held_start :])
        yield next_start, end, probabilities


def _whole_steps(parameter: str, seconds: float) -> int:
    if not 0 < seconds < float("inf"):
        raise InvalidParameterError(parameter, f"must be a duration above 0 s, got {seconds}")
    return max(1, round(seconds / PATCH_S))


def _seconds(steps: float) -> float:
    return round(steps * PATCH_S, 2)
