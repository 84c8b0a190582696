"""Compare the measurements with limits that were set in advance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.cold import CPUS
from benchmarks.documents import table
from benchmarks.load import CLIENTS

WINDOW_BYTES: Final = (9 * 0.96 + 0.975) * 44_100 * 4  # ten patches of 16-bit stereo


class Results:
    """The measured values by section, subject and quantity; methods raise `KeyError` for missing ones."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def median(self, section: str, subject: str, quantity: str = "seconds") -> float:
        return float(median(self.values[section][subject][quantity]))

    def worst(self, section: str, subject: str, quantity: str) -> float:
        return float(max(self.values[section][subject][quantity]))

    def ratio(self, section: str, subject: str, other: str) -> float:
        return self.median(section, subject) / self.median(section, other)


class Limit(NamedTuple):
    """An upper limit of a value that is computed from the results."""

    name: str
    value: Callable[[Results], float]
    at_most: float
    unit: str = ""


def _rate(results: Results, clients: int) -> float:
    return results.median("load", str(clients), "requests_per_s")


LIMITS: Final = (
    Limit("cold start, `compact` ÷ TensorFlow", lambda r: r.ratio("cold", "compact", "tensorflow"), 0.12),
    Limit("cold start, `max` ÷ TensorFlow", lambda r: r.ratio("cold", "max-float32", "tensorflow"), 0.2),
    Limit(
        "warm request, `max` ÷ its network alone",
        lambda r: r.ratio("warm", "max-float32", "max-float32, network alone"),
        1.3,
    ),
    Limit("warm request, `max` ÷ TensorFlow", lambda r: r.ratio("warm", "max-float32", "tensorflow"), 0.5),
    Limit(
        "network alone, `max` ÷ GEMM", lambda r: r.ratio("warm", "max-float32, network alone", "GEMM"), 1.6
    ),
    Limit(
        "warm request, `compact`, without decoding and resampling",
        lambda r: 1e3 * (r.median("warm", "compact") - r.median("warm", "compact", "read")),
        25,
        "ms",
    ),
    Limit(
        "first 10 s of a 10-minute file ÷ 10-second file",
        lambda r: r.ratio("warm", "10-minute file, first 10 s", "10-second file"),
        1.1,
    ),
    Limit(
        "middle 10 s of a 10-minute file ÷ 10-second file",
        lambda r: r.ratio("warm", "10-minute file, middle 10 s", "10-second file"),
        1.1,
    ),
    Limit(
        "data fetched from S3 for 10 s of a 10-minute object",
        lambda r: r.worst("recordings", "10 s of a 10-minute object in S3", "fetched_bytes") / 1e6,
        (1.2 * WINDOW_BYTES + (256 << 10)) / 1e6,
        "MB",
    ),
    Limit(
        "peak memory of a timeline, one hour ÷ one minute",
        lambda r: (
            r.median("recordings", "timeline of one hour", "peak_mb")
            / r.median("recordings", "timeline of one minute", "peak_mb")
        ),
        1.1,
    ),
    Limit("peak memory, `compact`", lambda r: r.worst("cold", "compact", "peak_mb"), 150, "MB"),
    Limit("peak memory, `max`", lambda r: r.worst("cold", "max-float32", "peak_mb"), 700, "MB"),
    Limit("peak memory, `max` in int8", lambda r: r.worst("cold", "max-int8", "peak_mb"), 300, "MB"),
    Limit(
        f"requests per second, 1 client ÷ {CPUS} clients", lambda r: _rate(r, CLIENTS[0]) / _rate(r, CPUS), 1
    ),
    Limit(
        f"requests per second, maximum ÷ {CLIENTS[-1]} clients",
        lambda r: max(_rate(r, clients) for clients in CLIENTS) / _rate(r, CLIENTS[-1]),
        1.1,
    ),
    Limit(
        f"p99 latency with {CLIENTS[-1]} clients ÷ time to serve {CLIENTS[-1]} requests",
        lambda r: r.median("load", str(CLIENTS[-1]), "p99_s") * _rate(r, CLIENTS[-1]) / CLIENTS[-1],
        1.5,
    ),
    Limit("errors under load", lambda r: sum(sum(r.values["load"][str(n)]["errors"]) for n in CLIENTS), 0),
    Limit("zip function with its layers, unzipped", lambda r: r.values["sizes_mb"]["layers"], 250, "MB"),
    Limit("image without its base image", lambda r: r.values["sizes_mb"]["image"], 300, "MB"),
)


def limits(results: Results) -> str:
    """Format the table of limits and measured values."""

    def rows() -> Iterator[Sequence[str]]:
        for name, measure, at_most, unit in LIMITS:
            try:
                value = measure(results)
            except KeyError:
                yield name, "not measured", _number(at_most, unit), ""
                continue
            yield name, _number(value, unit), _number(at_most, unit), "yes" if value <= at_most else "**no**"

    return table(("", "measured", "limit", "met"), rows())


def _number(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}".rstrip() if value >= 100 else f"{value:.3g} {unit}".rstrip()
