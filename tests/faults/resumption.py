"""Check that batches resume correctly from every state that a power loss may leave."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeAlias
from unittest.mock import patch

from audio_classifier.batch.stores import open_store
from audio_classifier.errors import BundleError, BundleNotFoundError
from audio_classifier.model.bundle import Bundle
from tests.faults.power_loss import RecordedDisk

Output: TypeAlias = Literal["folder", "r.jsonl"]
OUTPUTS: Final[tuple[Output, ...]] = ("folder", "r.jsonl")
RESULTS: Final = 80


@dataclass(slots=True)
class Resumptions:
    """What was found in all states.

    Attributes
    ----------
    states
        How many states were constructed.
    redone
        How many results were missing in them, and were written again.
    lost
        Results that were missing although they had been synced.
    wrong
        Descriptions of states that could not be resumed, or had other results afterwards.
    """

    states: int = 0
    redone: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)


def check_store(output: Output, folder: Path, random: Random, found: Resumptions) -> None:
    """Write results, some of which replace older ones, and resume from states of power losses."""
    disk_folder, states = folder / "disk", folder / "states"
    disk_folder.mkdir(parents=True)
    disk = RecordedDisk(disk_folder, states, random, probability=0.03 if output == "folder" else 0.1)
    with disk.recording(), _repeatable():
        _write(disk_folder / output, _results(reader=1)[::2], disk)
        _damage(disk_folder / output)
        synced, first = _stored(disk_folder / output).keys(), len(disk.states)
        _write(disk_folder / output, _results(reader=2), disk)
        final = disk.lose_power()
    for number, state in enumerate(disk.states):
        found.states += 1
        if number >= first:
            found.lost += len(synced - _stored(state / output).keys())
        try:
            redone = _resume(state / output)
        except Exception as error:  # noqa: BLE001  # any exception is a finding
            found.wrong.append(f"{state}: {error!r}")
            continue
        found.redone += redone
        found.lost += redone if state == final else 0
        if _stored(state / output) != {result["source"]["file"]: result for result in _results(reader=2)}:
            found.wrong.append(f"{state}: other results")


def check_bundle(source: Path, folder: Path, random: Random, found: Resumptions) -> None:
    """Write a bundle; a power loss leaves the whole bundle or none."""
    disk_folder = folder / "disk"
    disk_folder.mkdir(parents=True)
    disk = RecordedDisk(disk_folder, folder / "states", random, probability=0.2)
    with disk.recording():
        Bundle.open(source).copy_to(disk_folder / "deep" / "bundle")
        final = disk.lose_power()
    for state in disk.states:
        found.states += 1
        try:
            Bundle.open(state / "deep" / "bundle")
        except BundleNotFoundError:
            found.redone += 1
            found.lost += state == final
        except BundleError as error:
            found.wrong.append(f"{state}: {error}")


def _damage(output: Path) -> None:
    """Replace a line, or a result, by zeros, as an earlier power loss may have left it."""
    path = output / "0" / "6.wav.json" if output.is_dir() else output
    begin = 0 if output.is_dir() else path.read_bytes().index(b"\n") + 1
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(bytes(300))


class _SameThreadExecutor(Executor):
    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # noqa: BLE001  # as other executors do
            future.set_exception(error)
        return future


@contextmanager
def _repeatable() -> Iterator[None]:
    """Write files in this thread, and do not sync after a time."""
    with (
        patch("audio_classifier.batch.file_batch.ThreadPoolExecutor", _SameThreadExecutor),
        patch("audio_classifier.batch.file_batch.MAX_PENDING_S", math.inf),
        patch("audio_classifier.batch.json_lines.SYNC_INTERVAL_S", math.inf),
    ):
        yield


def _results(reader: int) -> list[dict[str, Any]]:
    """Return results of different lengths in several folders; every seventh is an error."""
    return [
        {
            "status": "error" if number % 7 == 0 else "ok",
            "predictions": [{"label": "x" * 40, "probability": 0.5}] * (number % 25),
            "source": {"file": f"{number % 3}/{number}.wav", "sha256": str(number)},
            "model": {"digest": "m", "reader": reader},
            "parameters": {},
        }
        for number in range(RESULTS)
    ]


def _write(output: Path, results: list[dict[str, Any]], disk: RecordedDisk | None = None) -> int:
    """Store the results that are missing, and return their number."""
    store, count = open_store(str(output)), 0
    for result in results:
        key = result["source"]["file"]
        status = store.find(key, result)
        assert status in (None, result["status"])
        if status is None:
            assert store.write(key, result)
            count += 1
        if disk:
            disk.maybe_lose_power()
    store.close()
    return count


def _resume(output: Path) -> int:
    with patch("os.fsync"):
        redone = _write(output, _results(reader=2))
        assert _write(output, _results(reader=2)) == 0
    return redone


def _stored(output: Path) -> dict[str, Any]:
    """Return the undamaged results by the name of the file; the last one counts."""
    if output.is_dir():
        contents = [path.read_bytes() for path in output.rglob("*.json")]
    else:
        contents = output.read_bytes().splitlines() if output.exists() else []
    results = {}
    for content in contents:
        with suppress(ValueError):
            result = json.loads(content)
            results[result["source"]["file"]] = result
    return results
