"""What is heard when: windows of a recording, and the events that they make up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import EVENT_RELEASE, EVENT_THRESHOLD
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.selection import Prediction
from audio_classifier.model.labels import Label


@dataclass(frozen=True, slots=True)
class TimelineWindow:
    """What is heard from ``start_s`` to ``end_s`` of a recording."""

    start_s: float
    end_s: float
    predictions: list[Prediction]


@dataclass(frozen=True, slots=True)
class Event:
    """A class that is heard from ``start_s`` to ``end_s``: its highest and its mean probability there."""

    label_id: str
    label: str
    start_s: float
    end_s: float
    peak: float
    mean: float


class Heard(NamedTuple):
    """A window of a recording, all that is heard in it, and the time that it stands for.

    Where windows overlap, each stands for the hop in its middle: so an event does not last longer than it is
    heard.  The first one reaches back to the beginning, the last one to the end.

    Attributes
    ----------
    start_s, end_s
        Where the window begins and ends.
    from_s, to_s
        What it stands for.
    probabilities
        ``(classes,)`` float32.
    """

    start_s: float
    end_s: float
    from_s: float
    to_s: float
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a class counts as heard: from ``threshold`` on, until it falls below ``release``.

    So an event is not cut in two by a window in which it is a little less sure.

    Attributes
    ----------
    threshold
        The probability from which on an event begins.
    release
        The probability below which it ends; None for half of the threshold.
    min_duration_s
        Shorter ones are left out.

    Raises
    ------
    InvalidParameterError
        If one is out of its range.
    """

    threshold: float = EVENT_THRESHOLD
    release: float | None = None
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InvalidParameterError(
                "threshold", f"no event begins at {self.threshold:g}", hint="Give more than 0, up to 1."
            )
        if self.release is not None and not 0 < self.release <= self.threshold:
            raise InvalidParameterError(
                "release",
                f"an event cannot end below {self.release:g} that begins at {self.threshold:g}",
                hint="Give more than 0, up to the threshold.",
            )
        if not 0 <= self.min_duration_s < np.inf:
            raise InvalidParameterError(
                "min_duration_s", f"{self.min_duration_s:g} is no length of time", hint="Give 0 or more."
            )

    @property
    def release_or_default(self) -> float:
        """``release``, or the default."""
        return EVENT_RELEASE * self.threshold if self.release is None else self.release


def require_no_gaps(window_s: float, hop_s: float) -> None:
    """Refuse windows that leave gaps between them.

    Raises
    ------
    InvalidParameterError
        If the hop is longer than the window.
    """
    if hop_s > window_s:
        raise InvalidParameterError("hop_s", "events cannot be told across gaps between windows")


class EventTracker:
    """Merges windows into events, each of which is given when it has ended.

    Parameters
    ----------
    classes
        Which to look at.
    hysteresis
        When one of them counts as heard.
    """

    def __init__(self, classes: Sequence[Label], hysteresis: Hysteresis) -> None:
        self._classes = classes
        self._columns = np.array([label.index for label in classes], np.intp)
        self._hysteresis = hysteresis
        self._is_on = np.zeros(len(classes), np.bool_)
        self._start_s, self._peak, self._total = (np.zeros(len(classes)) for _ in range(3))
        self._windows = np.zeros(len(classes), np.intp)
        self._now_s = 0.0

    def add(self, window: Heard) -> list[Event]:
        """The events that end before this window, the next in time; the earlier ones first."""
        probabilities = window.probabilities[self._columns]
        release = self._hysteresis.release_or_default
        ended = self._events(self._is_on & (probabilities < release), window.from_s)
        begins = ~self._is_on & (probabilities >= self._hysteresis.threshold)
        self._is_on = (self._is_on & (probabilities >= release)) | begins
        self._start_s[begins] = window.from_s
        for sums in (self._peak, self._total, self._windows):
            sums[begins] = 0
        np.maximum(self._peak, probabilities, out=self._peak, where=self._is_on)
        self._total[self._is_on] += probabilities[self._is_on]
        self._windows[self._is_on] += 1
        self._now_s = window.to_s
        return ended

    def finish(self) -> list[Event]:
        """The events that last to the end of the recording."""
        return self._events(self._is_on, self._now_s)

    def _events(self, which: NDArray[np.bool_], end_s: float) -> list[Event]:
        events = [
            Event(
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


def by_start(event: Event) -> tuple[float, float]:
    """A key to sort by: the earlier first, of those that begin together the surer."""
    return event.start_s, -event.peak
