"""Uploads through S3, SQS, EventBridge and functions that are killed, with duplicates and other faults."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

from audio_classifier.errors import ProcessingFailedError
from devtools.runtime_api import InvocationError
from tests.faults.cloud import UPLOADS, Cloud, running_cloud, sqs_record
from tests.faults.function import FunctionProcess, KilledError
from tests.faults.recordings import Recording
from tests.faults.report import Outcome
from tests.faults.s3_faults import FaultyS3
from tests.support.event_buses import EventQueue

BUS: Final = "audio"
WORKERS: Final = 3
POLL_S: Final = 0.1
MAX_KILL_S: Final = 0.6
# A message is spared further faults after this many receives, because the queue delivers it five times.
MAX_FAULTY_RECEIVES: Final = 2
S3_FAULTS: Final = 0.05
KILLS: Final = 0.2  # of the invocations; the others of these probabilities are of the messages
OVERWRITES: Final = 0.08
DUPLICATES: Final = 0.1
FORGOTTEN: Final = 0.05
NAMES: Final = ("{}.wav", "deep er/{}+b.flac", "ü/雨 {}.ogg", "100%/{}&c=d.mp3")


class Chain:
    """Uploads, their expected results and the faults that they meet.

    Parameters
    ----------
    cloud
        Receives the uploads.
    recordings
        The contents to choose from.
    """

    def __init__(
        self, cloud: Cloud, recordings: list[Recording], random: Random, outcome: Outcome, max_s: float
    ) -> None:
        self._cloud, self._recordings, self._random, self._outcome = cloud, recordings, random, outcome
        self._deadline = time.monotonic() + max_s
        self._events = EventQueue(cloud.url, BUS)
        self._final: dict[str, Recording] = {}  # by key
        self._lock = threading.Lock()

    def upload(self, count: int) -> None:
        """Upload recordings under different names; some notifications are delivered twice."""
        for number in range(count):
            self._put("in/" + NAMES[number % len(NAMES)].format(number))
        self._outcome.inputs = count

    def work(self, function: FunctionProcess) -> None:
        """Pass messages to a function until the queue is empty."""
        while time.monotonic() < self._deadline:
            with self._lock:
                batch = self._cloud.receive(self._random.randint(1, 10))
                self._random.shuffle(batch)
            if not batch:
                if self._cloud.is_drained():
                    return
                time.sleep(POLL_S)
                continue
            self._process(function, batch)

    def check(self) -> None:
        """Compare the stored results, and the published ones, with the expected ones."""
        published = {
            (event["detail"]["source"]["key"], event["detail"]["source"]["etag"])
            for event in self._events.receive()
            if event["detail"].get("code") != ProcessingFailedError.code
        }
        for key, recording in self._final.items():
            result = self._cloud.stored_result(key)
            etag = hashlib.md5(recording.content, usedforsecurity=False).hexdigest()
            if result is None or (key, f'"{etag}"') not in published:
                self._outcome.lost += 1
                self._outcome.findings.append(f"lost: {'result' if result is None else 'event'} of {key}")
            elif result["source"]["etag"].strip('"') != etag or not recording.matches(result):
                self._outcome.wrong += 1
                self._outcome.findings.append(f"wrong: {key}: {result}")
        if dead := self._cloud.count_dead_letters():
            self._outcome.findings.append(f"{dead} messages in the dead-letter queue")

    def _put(self, key: str) -> None:
        with self._lock:  # the last one that is written is the last one that is remembered
            recording = self._random.choice(self._recordings)
            self._cloud.s3.put_object(Bucket=UPLOADS, Key=key, Body=recording.content)
            self._final[key] = recording

    def _draw(self, fault: str, probability: float) -> bool:
        with self._lock:
            drawn = self._random.random() < probability
            self._outcome.faults[fault] += drawn
        return drawn

    def _process(self, function: FunctionProcess, batch: list[dict[str, Any]]) -> None:
        spared = any(int(one["Attributes"]["ApproximateReceiveCount"]) > MAX_FAULTY_RECEIVES for one in batch)
        for message in batch:
            self._disturb(message, spared=spared)
        with self._lock:
            kill = not spared and self._random.random() < KILLS
            kill_after_s = self._random.uniform(0, MAX_KILL_S) if kill else None
        failed = self._invoke(function, batch, kill_after_s)
        for message in batch:
            if message["MessageId"] in failed or (not spared and self._draw("redelivered", FORGOTTEN)):
                self._cloud.return_message(message)
            else:
                self._cloud.delete(message)

    def _disturb(self, message: dict[str, Any], *, spared: bool) -> None:
        if self._draw("duplicated", DUPLICATES):
            self._cloud.sqs.send_message(QueueUrl=self._cloud.queue, MessageBody=message["Body"])
        if not spared and self._draw("overwritten", OVERWRITES):
            with self._lock:
                key = self._random.choice(list(self._final))
            self._put(key)

    def _invoke(
        self, function: FunctionProcess, batch: list[dict[str, Any]], kill_after_s: float | None
    ) -> set[str]:
        """Return the IDs of the messages that return to the queue."""
        event = {"Records": [sqs_record(message) for message in batch]}
        everything = {message["MessageId"] for message in batch}
        try:
            response = function.invoke(event, kill_after_s=kill_after_s)
        except KilledError:
            self._count("killed")
        except ChildProcessError as error:
            self._outcome.crashes += 1
            self._outcome.findings.append(f"crash: {error}")
        except TimeoutError as error:
            self._outcome.hangs += 1
            self._outcome.findings.append(f"hang: {error}")
        except InvocationError as error:
            self._outcome.wrong += 1
            self._outcome.findings.append(f"failed invocation: {error}")
        else:
            return {item["itemIdentifier"] for item in response["batchItemFailures"]}
        return everything

    def _count(self, fault: str) -> None:
        with self._lock:
            self._outcome.faults[fault] += 1


def run_chain(
    recordings: list[Recording], random: Random, folder: Path, *, uploads: int, max_s: float
) -> Outcome:
    """Send uploads through the chain, and compare the results with the objects at the end."""
    outcome = Outcome("chain of uploads")
    with running_cloud() as cloud, FaultyS3(cloud.url, Random(random.random()), S3_FAULTS) as faulty:
        chain = Chain(cloud, recordings, random, outcome, max_s)
        chain.upload(uploads)
        environment = {
            **cloud.environment,
            "AWS_ENDPOINT_URL": faulty.url,
            "AUDIO_CLASSIFIER_EVENT_BUS": BUS,
        }
        functions = [
            FunctionProcess(folder / f"function-{number}.log", environment) for number in range(WORKERS)
        ]
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(chain.work, functions))
        finally:
            for function in functions:
                function.close()
        chain.check()
        outcome.faults.update({f"S3: {kind}": count for kind, count in faulty.faults.items()})
        outcome.memory_bytes = max(function.peak_bytes for function in functions)
    return outcome
