"""The requests of a load test, and which responses to them are expected."""

from __future__ import annotations

import array
import random
import sys
import wave
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

ASSETS: Final = Path(__file__).parents[2] / "assets"
SMALL_FILES: Final = ("alarm.wav", "dial-tone.wav", "siren.wav")
PAGES: Final = ("/", "/demo", "/openapi.json", "/model/metadata", "/model/labels")
OK: Final = frozenset({200})
BOUNDARY: Final = "load-test-boundary"


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the mix.

    Attributes
    ----------
    name
        The row of the report in which it is counted.
    method, path, body, headers
        What is sent.
    expected
        The expected statuses.
    """

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: Collection[int] = OK


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response is counted.

    Attributes
    ----------
    name
        The row of the report: that of the request, or one of its own if the deployment refused the request.
    failure
        Why the response counts as a failure; empty if it does not.
    """

    name: str
    failure: str = ""


def outcome(request: Request, status: int, headers: Mapping[str, str]) -> Outcome:
    """Return how to count a response; 429, and 503 with Retry-After, refuse a request because of the load."""
    if status in request.expected:
        return Outcome(request.name)
    if status == 429 or (status == 503 and "retry-after" in {name.lower() for name in headers}):
        return Outcome(f"refused: {status}")
    expected = " or ".join(map(str, sorted(request.expected)))
    return Outcome(request.name, f"expected status {expected}, got {status}")


class Mix:
    """Chooses requests at random, by the weights of `WEIGHTS`."""

    WEIGHTS: Final = {"ten_seconds": 10, "small": 5, "timeline": 2, "bad": 2, "page": 3}

    def __init__(self) -> None:
        self._ten_seconds = stereo((ASSETS / "thunder.wav").read_bytes())
        self._small = [(ASSETS / name).read_bytes() for name in SMALL_FILES]
        self._town = (ASSETS / "town.wav").read_bytes()
        self._bad = (
            Request("bad: not audio", "POST", "/model/predict", b"no audio" * 100, WAV, frozenset({400})),
            Request("bad: truncated", "POST", "/model/predict", self._town[:40], WAV, frozenset({400})),
            Request(
                "bad: parameter", "POST", "/model/predict?top_k=none", self._small[0], WAV, frozenset({422})
            ),
        )

    def choose(self) -> Request:
        """Return the next request."""
        (kind,) = random.choices([*self.WEIGHTS], [*self.WEIGHTS.values()])
        return self.of_kind(kind)

    def of_kind(self, kind: str) -> Request:
        """Return a request of a kind of `WEIGHTS`."""
        match kind:
            case "ten_seconds":
                return Request("predict, 1.8 MB", "POST", "/model/predict", self._ten_seconds, WAV)
            case "small":
                body = form(random.choice(self._small))
                return Request("predict, small form", "POST", "/model/predict", body, FORM)
            case "timeline":
                return Request("timeline, 18 s", "POST", "/model/predict?timeline=true", self._town, WAV)
            case "bad":
                return random.choice(self._bad)
            case "page":
                return Request("page", "GET", random.choice(PAGES))
        raise ValueError(f"kind must be one of {', '.join(self.WEIGHTS)}, got {kind!r}")


WAV: Final = {"Content-Type": "audio/wav"}
FORM: Final = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def stereo(mono: bytes) -> bytes:
    """Return a WAV file of 16-bit samples with its channel twice."""
    with wave.open(BytesIO(mono)) as reader:
        rate_hz, samples = reader.getframerate(), array.array("h", reader.readframes(reader.getnframes()))
    both = array.array("h", bytes(2 * samples.itemsize * len(samples)))
    both[::2] = both[1::2] = samples
    if sys.byteorder == "big":
        both.byteswap()
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(both.tobytes())
    return file.getvalue()


def form(wav: bytes) -> bytes:
    """Return a form with a WAV file in the field ``audio``."""
    head = 'Content-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/wav'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + wav + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class Stage:
    """A number of users for a time."""

    seconds: float
    users: int


def parse_stages(text: str) -> list[Stage]:
    """Parse the shape of the load, for example ``30s:2,2m:8``.

    Raises
    ------
    ValueError
        If it is not a list of durations and numbers of users.
    """
    stages = []
    for part in text.split(","):
        duration, _, users = part.strip().partition(":")
        number, unit = duration[:-1], duration[-1:]
        if unit not in UNITS_S or not (number.isdecimal() and users.isdecimal() and int(number) * int(users)):
            raise ValueError(
                "stages must be durations (units s, m, h) and numbers of users, such as 30s:2,2m:8, "
                f"got {part!r}"
            )
        stages.append(Stage(int(number) * UNITS_S[unit], int(users)))
    return stages


UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}


def users_at(stages: list[Stage], seconds: float) -> int | None:
    """Return the number of users at a time; None after the last stage."""
    for stage in stages:
        if seconds < stage.seconds:
            return stage.users
        seconds -= stage.seconds
    return None
