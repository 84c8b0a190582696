"""What was set beforehand, and whether it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.cold import CPUS
from benchmarks.documents import table
from benchmarks.load import CLIENTS

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


class Limit(NamedTuple):
    """Something that must not be more than ``at_most``."""

    what: str
    value: Callable[[Results], float]
    at_most: float
    unit: str = ""


def _rate(results: Results, clients: int) -> float:
    return results.median("load", str(clients), "answers_per_s")


LIMITS: Final = (
    Limit("cold start, `compact` ÷ TensorFlow", lambda r: r.ratio("cold", "compact", "tensorflow"), 0.12),
    Limit("cold start, `max` ÷ TensorFlow", lambda r: r.ratio("cold", "max-float32", "tensorflow"), 0.2),
    Limit(
        "warm answer, `max` ÷ its network alone",
        lambda r: r.ratio("warm", "max-float32", "max-float32, network alone"),
        1.3,
    ),
    Limit("warm answer, `max` ÷ TensorFlow", lambda r: r.ratio("warm", "max-float32", "tensorflow"), 0.5),
    Limit("VGGish alone ÷ the GEMM", lambda r: r.ratio("warm", "max-float32, network alone", "GEMM"), 1.6),
    Limit(
        "warm answer, `compact`, but for reading the file",
        lambda r: 1e3 * (r.median("warm", "compact") - r.median("warm", "compact", "read")),
        25,
        "ms",
    ),
    Limit(
        "the first ten seconds of ten minutes ÷ of ten seconds",
        lambda r: r.ratio("warm", "the first ten of ten minutes", "ten seconds"),
        1.1,
    ),
    Limit(
        "ten seconds in the middle of ten minutes ÷ of ten seconds",
        lambda r: r.ratio("warm", "ten in the middle of ten minutes", "ten seconds"),
        1.1,
    ),
    Limit(
        "fetched from S3 for ten seconds out of ten minutes",
        lambda r: r.worst("recordings", "ten seconds out of ten minutes in S3", "fetched_bytes") / 1e6,
        (1.2 * WINDOW_BYTES + (256 << 10)) / 1e6,
        "MB",
    ),
    Limit(
        "memory of a timeline, an hour ÷ a minute",
        lambda r: (
            r.median("recordings", "timeline of an hour", "peak_mb")
            / r.median("recordings", "timeline of a minute", "peak_mb")
        ),
        1.1,
    ),
    Limit("peak memory, `compact`", lambda r: r.worst("cold", "compact", "peak_mb"), 150, "MB"),
    Limit("peak memory, `max`", lambda r: r.worst("cold", "max-float32", "peak_mb"), 700, "MB"),
    Limit("peak memory, `max` in int8", lambda r: r.worst("cold", "max-int8", "peak_mb"), 300, "MB"),
    Limit(f"answers a second, 1 client ÷ {CPUS}", lambda r: _rate(r, CLIENTS[0]) / _rate(r, CPUS), 1),
    Limit(
        f"answers a second, the most ÷ {CLIENTS[-1]} clients",
        lambda r: max(_rate(r, clients) for clients in CLIENTS) / _rate(r, CLIENTS[-1]),
        1.1,
    ),
    Limit(
        f"99 of 100 answers to {CLIENTS[-1]} clients ÷ as long as {CLIENTS[-1]} answers take",
        lambda r: r.median("load", str(CLIENTS[-1]), "p99_s") * _rate(r, CLIENTS[-1]) / CLIENTS[-1],
        1.5,
    ),
    Limit("errors under load", lambda r: sum(sum(r.values["load"][str(n)]["errors"]) for n in CLIENTS), 0),
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
                yield what, "not measured", _number(at_most, unit), ""
                continue
            yield what, _number(value, unit), _number(at_most, unit), "yes" if value <= at_most else "**no**"

    return table(("", "measured", "at most", "reached"), rows())


def _number(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}".rstrip() if value >= 100 else f"{value:.3g} {unit}".rstrip()
