"""Malformed events against the function under Amazon's runtime client."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from audio_classifier import errors
from devtools.runtime_api import InvocationError
from tests.faults.cloud import UPLOADS, running_cloud
from tests.faults.event_mutations import BUCKET, KEY, mutate_event, valid_events
from tests.faults.function import FunctionProcess
from tests.faults.recordings import Recording
from tests.faults.report import Outcome
from tests.server.deployment import s3_notification

EVENTS: Final = Path(__file__).parents[1] / "events"
OWN_ERRORS: Final = frozenset(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.AudioClassifierError)
)
HONEST_INTERVAL: Final = 50  # a valid event after as many mutated ones


def run_events(recordings: list[Recording], random: Random, folder: Path, *, seconds: float) -> Outcome:
    """Send events for some time; in between, valid ones are processed correctly."""
    outcome = Outcome("events")
    seed, number = random.randrange(1 << 32), 0
    deadline = time.monotonic() + seconds
    events = valid_events(EVENTS)
    with running_cloud() as cloud:
        function = FunctionProcess(folder / "events.log", cloud.environment)
        try:
            while time.monotonic() < deadline:
                if number % HONEST_INTERVAL == 0:
                    recording = recordings[number // HONEST_INTERVAL % len(recordings)]
                    cloud.s3.put_object(Bucket=UPLOADS, Key=KEY, Body=recording.content)
                    _send(function, s3_notification(BUCKET, KEY), outcome)
                    result = cloud.stored_result(KEY)
                    if result is None or not recording.matches(result):
                        _record(outcome, "lost" if result is None else "wrong", f"a valid event: {result}")
                mutated = Random(f"{seed}-{number}")
                event = mutate_event(mutated.choice(events), mutated)
                outcome.faults["mutated event"] += 1
                if finding := _send(function, event, outcome):
                    path = folder / f"event-{seed}-{number}.json"
                    path.write_text(json.dumps(event))
                    outcome.findings.append(f"{finding}; {path}")
                number += 1
        finally:
            function.close()
            outcome.memory_bytes = function.peak_bytes
    return outcome


def _send(function: FunctionProcess, event: Any, outcome: Outcome) -> str | None:
    """Invoke the function; return what is wrong with its answer, if anything."""
    outcome.inputs += 1
    try:
        response = function.invoke(event)
    except InvocationError as error:
        if error.report.get("errorType") in OWN_ERRORS:
            return None
        outcome.wrong += 1
        return f"wrong: foreign exception {error}"
    except ChildProcessError as error:
        outcome.crashes += 1
        return f"crash: {error}"
    except TimeoutError as error:
        outcome.hangs += 1
        return f"hang: {error}"
    if isinstance(response, dict) and response.get("statusCode", 200) in (500, 501):
        outcome.wrong += 1
        return f"wrong: {response}"
    return None


def _record(outcome: Outcome, kind: str, text: str) -> None:
    if kind == "lost":
        outcome.lost += 1
    else:
        outcome.wrong += 1
    outcome.findings.append(f"{kind}: {text}")
