"""What was set beforehand, and whether it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.documents import table
from benchmarks.load import CLIENTS
from benchmarks.warm import STAGES

WINDOW_BYTES: Final = (9 * 0.96 + 0.975) * 44_100 * 4  # ten patches of 16-bit stereo


class Results:
    """The values, by section, subject and quantity; `KeyError` where something was not measured."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def median(self, section: str, subject: str, quantity: str = "seconds") -> float:
        return float(median(self.values[section][subject][quantity]))

    def worst(self, section: str, subject: str, quantity: str) -> float:
        return float(max(self.values[section][subject][quantity]))

    def ratio(self, section: str, subject: str, other: str) -> float:
        return self.median(section, subject) / self.median(section, other)

    def door(self, model: str) -> float:
        """Seconds of a warm answer that are none of the stages: the event, the form, HTTP, JSON."""
        return self.median("warm", model) - sum(self.median("warm", model, stage) for stage in STAGES)


class Limit(NamedTuple):
    """Something that must not be more than ``at_most``."""

    what: str
    value: Callable[[Results], float]
    at_most: float
    unit: str


LIMITS: Final = (
    Limit(
        "cold start, `compact`, of TensorFlow's",
        lambda r: r.ratio("cold", "compact", "tensorflow"),
        0.12,
        "×",
    ),
    Limit(
        "cold start, `max`, of TensorFlow's", lambda r: r.ratio("cold", "max-float32", "tensorflow"), 0.2, "×"
    ),
    Limit(
        "warm answer, `max`, of its network alone",
        lambda r: r.ratio("warm", "max-float32", "max-float32, network alone"),
        1.3,
        "×",
    ),
    Limit(
        "warm answer, `max`, of TensorFlow's",
        lambda r: r.ratio("warm", "max-float32", "tensorflow"),
        0.5,
        "×",
    ),
    Limit(
        "VGGish alone, of the same GEMM",
        lambda r: r.ratio("warm", "max-float32, network alone", "GEMM"),
        1.6,
        "×",
    ),
    Limit(
        "warm answer, `compact`, but for reading the file",
        lambda r: 1e3 * (r.median("warm", "compact") - r.median("warm", "compact", "read")),
        25,
        "ms",
    ),
    Limit(
        "ten seconds out of ten minutes, of a file of ten seconds",
        lambda r: r.ratio(
            "warm", "ten seconds of a file of ten minutes", "ten seconds of a file of ten seconds"
        ),
        1.1,
        "×",
    ),
    Limit(
        "bytes fetched from S3 for ten seconds out of ten minutes",
        lambda r: r.worst("recordings", "ten seconds out of ten minutes in S3", "fetched_bytes") / 1e6,
        (1.2 * WINDOW_BYTES + (256 << 10)) / 1e6,
        "MB",
    ),
    Limit(
        "memory of a timeline of an hour, of a minute's",
        lambda r: (
            r.median("recordings", "timeline of an hour", "peak_mb")
            / r.median("recordings", "timeline of a minute", "peak_mb")
        ),
        1.1,
        "×",
    ),
    Limit("peak memory, `compact`", lambda r: r.worst("cold", "compact", "peak_mb"), 150, "MB"),
    Limit("peak memory, `max`", lambda r: r.worst("cold", "max-float32", "peak_mb"), 700, "MB"),
    Limit("peak memory, `max` in int8", lambda r: r.worst("cold", "max-int8", "peak_mb"), 300, "MB"),
    Limit("errors under load", lambda r: sum(r.worst("load", str(n), "errors") for n in CLIENTS), 0, ""),
    Limit("zip function with its layers, unzipped", lambda r: r.values["sizes_mb"]["layers"], 250, "MB"),
    Limit("image over its base", lambda r: r.values["sizes_mb"]["image"], 300, "MB"),
)


def limits(results: Results) -> str:
    """What was set beforehand, and what was reached."""

    def rows() -> Iterator[Sequence[str]]:
        for what, measure, at_most, unit in LIMITS:
            try:
                value = measure(results)
            except KeyError:
                yield what, "not measured", f"{_number(at_most)} {unit}", ""
                continue
            yield (
                what,
                f"{_number(value)} {unit}",
                f"{_number(at_most)} {unit}",
                "yes" if value <= at_most else "**no**",
            )

    return table(("", "measured", "at most", "reached"), rows())


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
