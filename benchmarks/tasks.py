"""Perform tasks in a process of their own: ``python -m benchmarks.tasks TASK [ARGUMENT...]``.

The process prepares the task.  Each line of its standard input holds warm-up seconds and a number of repeats:
the process performs the task for that time, then repeats it and prints the measured values as a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

Work: TypeAlias = Callable[[], dict[str, float] | None]
"""Performs a task once, and may return further quantities besides ``seconds``."""


def main() -> None:
    # Output of a task must not mix with the measured values.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task, *arguments = sys.argv[1:]
    work = TASKS[task](*arguments)
    for line in sys.stdin:
        warm_s, repeats = line.split()
        end = time.perf_counter() + float(warm_s)
        while time.perf_counter() < end:
            work()
        print(json.dumps([_timed(work) for _ in range(int(repeats))]), file=output, flush=True)


def _timed(work: Work) -> dict[str, float]:
    begin = time.perf_counter()
    quantities = work()
    return {"seconds": time.perf_counter() - begin, **(quantities or {})}


def gemm(multiply_adds: str) -> Work:
    """Multiply two square float32 matrices with numpy's BLAS, sized to take a number of multiply-adds."""
    size = round(int(multiply_adds) ** (1 / 3))
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)

    def work() -> None:
        np.matmul(a, b, out=out)

    return work


class StageTimes:
    """Record the seconds of the last classification by stage; an observer of the classifier."""

    def __init__(self, stages: dict[str, float]) -> None:
        self._stages = stages

    def model_loaded(self, seconds: float) -> None:
        pass

    def clip_classified(self, classification: Any) -> None:
        self._stages.update(classification.seconds)

    def recording_analyzed(self, analyzed_s: float) -> None:
        pass

    def stage_ended(self, stage: str, seconds: float) -> None:
        pass


def engine(bundle_uri: str, threads: str, recording: str) -> Work:
    """Invoke the network of a bundle by LiteRT alone, on the first ten seconds of a recording."""
    from ai_edge_litert.interpreter import Interpreter

    from audio_classifier.audio.log_mel import log_mel_patches
    from audio_classifier.audio.reader import read_window
    from audio_classifier.hub.bundles import open_bundle

    patches = log_mel_patches(read_window(recording))
    interpreter = Interpreter(str(open_bundle(bundle_uri).path("embedding.tflite")), num_threads=int(threads))
    (tensor,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(tensor["index"], patches.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(tensor["index"], patches)
    return interpreter.invoke  # type: ignore[no-any-return]


def handler(name: str, event: str) -> Work:
    """Call a Lambda handler with an event of API Gateway, as the runtime client does.

    The quantities are the seconds by stage, and the remaining seconds as ``other``.
    """
    path, _, attribute = name.rpartition(".")
    module = import_module(path)
    function = getattr(module, attribute)
    parsed = json.loads(Path(event).read_bytes())
    context: Any = SimpleNamespace(
        function_name="benchmark", memory_limit_in_mb=0, invoked_function_arn="", aws_request_id=""
    )
    stages: dict[str, float] = getattr(module, "seconds", {})  # only peers have it
    if shared := getattr(module, "shared", None):
        shared.observe(StageTimes(stages))

    def work() -> dict[str, float]:
        begin = time.perf_counter()
        response = function(parsed, context)
        seconds = time.perf_counter() - begin
        if response["statusCode"] != 200:
            raise RuntimeError(f"expected status 200, got {response['statusCode']}: {response['body']}")
        return {**stages, "other": seconds - sum(stages.values())}

    return work


def classify(bundle_uri: str, recording: str, start_s: str) -> Work:
    """Classify ten seconds of a file."""
    from audio_classifier import AudioClassifier

    classifier = AudioClassifier.open(bundle_uri)
    return lambda: classifier.classify(recording, start_s=float(start_s)).seconds


def clip(bundle_uri: str, recording: str) -> Work:
    """Classify ten seconds of a file on one thread.

    The quantities are the CPU time for the ``clip`` and that for its ``network``.  On one thread, CPU time is
    the time that passes on an idle machine, and other load affects it little.
    """
    from audio_classifier import AudioClassifier

    classifier = AudioClassifier.open(bundle_uri, threads=1)
    selection = classifier.selection()

    def work() -> dict[str, float]:
        begin = time.process_time()
        prepared = classifier.prepare(recording)
        network_begin = time.process_time()
        classifier.classify_prepared([prepared], selection)
        end = time.process_time()
        return {"clip": end - begin, "network": end - network_begin}

    return work


def events(bundle_uri: str, recording: str) -> Work:
    """Find the sound events of a whole file."""
    from audio_classifier import AudioClassifier

    classifier = AudioClassifier.open(bundle_uri)
    return lambda: {"events": sum(1 for _ in classifier.events(recording))}


def short_files(bundle_uri: str, folder: str, order: str) -> Work:
    """Classify all files of a folder, ``sequential`` or ``parallel``."""
    from audio_classifier import AudioClassifier
    from audio_classifier.cpus import available_cpus

    files = sorted(Path(folder).iterdir())
    # The command line, too, gives half of the CPUs to the network when it processes files in parallel.
    threads = None if order == "sequential" else max(1, available_cpus() // 2)
    classifier = AudioClassifier.open(bundle_uri, threads=threads)

    def work() -> dict[str, float]:
        if order == "sequential":
            for file in files:
                classifier.classify(file)
        else:
            for result in classifier.classify_many(files):
                if isinstance(result, Exception):
                    raise result
        return {"files": len(files)}

    return work


def s3(bundle_uri: str, recording: str) -> Work:
    """Classify ten seconds in the middle of an S3 object; count ``fetched_bytes`` and ``requests``.

    The S3 server (moto, over HTTP) runs in the same process and accounts for most of its time and memory.
    """
    from moto.server import ThreadedMotoServer

    from audio_classifier import AudioClassifier
    from audio_classifier.s3.client import s3_client
    from audio_classifier.s3.location import S3Location
    from audio_classifier.s3.objects import S3File

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = s3_client()
    client.create_bucket(Bucket="recordings")
    client.upload_file(recording, "recordings", "recording")
    fetched: list[int] = []
    client.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: fetched.append(parsed["ContentLength"])
    )
    classifier = AudioClassifier.open(bundle_uri)

    def work() -> dict[str, float]:
        fetched.clear()
        classifier.predict(S3File(client, S3Location("recordings", "recording")), start_s=300)
        return {"fetched_bytes": sum(fetched), "requests": len(fetched)}

    return work


TASKS: Final[dict[str, Callable[..., Work]]] = {
    task.__name__: task for task in (gemm, engine, handler, classify, clip, events, short_files, s3)
}

if __name__ == "__main__":
    main()
