"""What is heard when: windows of a recording, and the events that they make up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import InvalidParameterError
from audio_classifier.labels import Label
from audio_classifier.params import EVENT_RELEASE, EVENT_THRESHOLD
from audio_classifier.selection import Prediction


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
    """A window's probabilities, ``(classes,)``, and the time that it stands for.

    Where windows overlap, each stands for the hop in its middle: so an event does not last longer than it is
    heard.  The first one reaches back to the beginning, the last one to the end.
    """

    start_s: float
    end_s: float
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

    def events(self, windows: Iterable[Heard], classes: Sequence[Label]) -> Iterator[Event]:
        """Merge windows into events of some classes; each is given when it has ended, the earlier ones first.

        Parameters
        ----------
        windows
            In the order of time, without gaps.
        classes
            Which to look at.
        """
        release = EVENT_RELEASE * self.threshold if self.release is None else self.release
        columns = np.array([label.index for label in classes], np.intp)
        is_on = np.zeros(len(classes), np.bool_)
        start_s, peak, total = (np.zeros(len(classes)) for _ in range(3))
        count = np.zeros(len(classes), np.intp)
        now_s = 0.0

        def ended(which: NDArray[np.bool_], end_s: float) -> Iterator[Event]:
            indices = np.flatnonzero(which).tolist()
            for index in sorted(indices, key=lambda index: (start_s[index], -peak[index])):
                if end_s - start_s[index] >= self.min_duration_s:
                    label = classes[index]
                    mean = total[index] / count[index]
                    yield Event(
                        label.label_id,
                        label.name,
                        float(start_s[index]),
                        end_s,
                        float(peak[index]),
                        float(mean),
                    )

        for window in windows:
            heard, now_s = window.probabilities[columns], window.end_s
            begins = ~is_on & (heard >= self.threshold)
            yield from ended(is_on & (heard < release), window.start_s)
            is_on = (is_on & (heard >= release)) | begins
            start_s[begins], peak[begins], total[begins], count[begins] = window.start_s, 0, 0, 0
            np.maximum(peak, heard, out=peak, where=is_on)
            total[is_on] += heard[is_on]
            count[is_on] += 1
        yield from ended(is_on, now_s)
