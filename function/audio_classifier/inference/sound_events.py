"""Sound events: which classes are present in a recording, and from when to when."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import EVENT_RELEASE, EVENT_THRESHOLD
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """A class that is present from ``start_s`` to ``end_s``, with its peak and mean probability there."""

    label_id: str
    label: str
    start_s: float
    end_s: float
    peak: float
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON represents it; times are in seconds."""
        return {name.removesuffix("_s"): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a class counts as present: from ``threshold`` on, until it falls below ``release``.

    Two thresholds keep a window of slightly lower probability from splitting an event.

    Attributes
    ----------
    threshold
        An event begins at this probability.
    release
        An event ends below this probability; None for half of the threshold.
    min_duration_s
        Shorter events are omitted.

    Raises
    ------
    InvalidParameterError
        If a value is out of range.
    """

    threshold: float = EVENT_THRESHOLD
    release: float | None = None
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InvalidParameterError(
                "threshold", f"must be a probability from 0 to 1, got {self.threshold:g}"
            )
        if self.release is not None and not 0 <= self.release <= self.threshold:
            raise InvalidParameterError(
                "release",
                f"must be a probability from 0 to the threshold, {self.threshold:g}, got {self.release:g}",
            )
        if not 0 <= self.min_duration_s < np.inf:
            raise InvalidParameterError(
                "min_duration_s", f"must be a duration of 0 s or more, got {self.min_duration_s:g}"
            )


DEFAULT_HYSTERESIS: Final = Hysteresis()


def require_no_gaps(window_s: float, hop_s: float) -> None:
    """Raise `InvalidParameterError` if windows leave gaps, which sound events cannot span."""
    if hop_s > window_s:
        raise InvalidParameterError(
            "hop_s", f"must be at most the window, {window_s:g} s, for sound events, got {hop_s:g} s"
        )


def with_sound_events(
    items: Generator[Window | AudioWarning, None, None],
    classes: Sequence[Label],
    hysteresis: Hysteresis,
    minimums: NDArray[np.float64] | None = None,
) -> Generator[Window | SoundEvent | AudioWarning, None, None]:
    """Yield each window, then the sound events that end before it; the last events and warnings come last.

    The items are closed with the stream.
    """
    tracker = EventTracker(classes, hysteresis, minimums)
    found: list[AudioWarning] = []
    with closing(items):
        for item in items:
            if isinstance(item, AudioWarning):
                found.append(item)
            else:
                yield item
                yield from tracker.add(item)
    yield from tracker.finish()
    yield from found


class EventTracker:
    """Merge consecutive windows into sound events, each of which is returned when it has ended.

    Parameters
    ----------
    classes
        The classes to track.
    hysteresis
        When a class counts as present.
    minimums
        The minimum probability, by index of the class, at which its events begin if it is higher than the
        threshold; None for 0.
    """

    def __init__(
        self,
        classes: Sequence[Label],
        hysteresis: Hysteresis,
        minimums: NDArray[np.float64] | None = None,
    ) -> None:
        self._classes = classes
        self._columns = np.array([label.index for label in classes], np.intp)
        self._hysteresis = hysteresis
        own_minimums = 0.0 if minimums is None else minimums[self._columns]
        self._thresholds = np.maximum(np.full(len(classes), hysteresis.threshold), own_minimums)
        own_release = hysteresis.release
        self._releases = EVENT_RELEASE * self._thresholds if own_release is None else own_release
        self._is_on = np.zeros(len(classes), np.bool_)
        self._start_s, self._peak, self._total = (np.zeros(len(classes)) for _ in range(3))
        self._windows = np.zeros(len(classes), np.intp)
        self._end_s = 0.0

    def add(self, window: Window) -> list[SoundEvent]:
        """Add the next window, and return the events that end before it, by their start."""
        probabilities = window.probabilities[self._columns]
        ended = self._events(self._is_on & (probabilities < self._releases), window.core_start_s)
        begins = ~self._is_on & (probabilities >= self._thresholds)
        self._is_on = (self._is_on & (probabilities >= self._releases)) | begins
        self._start_s[begins] = window.core_start_s
        for statistic in (self._peak, self._total, self._windows):
            statistic[begins] = 0
        np.maximum(self._peak, probabilities, out=self._peak, where=self._is_on)
        self._total[self._is_on] += probabilities[self._is_on]
        self._windows[self._is_on] += 1
        self._end_s = window.core_end_s
        return ended

    def finish(self) -> list[SoundEvent]:
        """Return the events that last to the end of the recording, by their start."""
        return self._events(self._is_on, self._end_s)

    def _events(self, which: NDArray[np.bool_], end_s: float) -> list[SoundEvent]:
        events = [
            SoundEvent(
                self._classes[index].label_id,
                self._classes[index].name,
                float(self._start_s[index]),
                end_s,
                float(self._peak[index]),
                float(self._total[index] / self._windows[index]),
            )
            for index in np.flatnonzero(which).tolist()
            if end_s - self._start_s[index] >= self._hysteresis.min_duration_s
        ]
        return sorted(events, key=by_start)


def by_start(event: SoundEvent) -> tuple[float, float]:
    """Sort key: by start, then by descending peak."""
    return event.start_s, -event.peak
