"""What is measured within processes of its own: ``python -m benchmarks.tasks TASK [ARGUMENT...]``.

The process makes the task ready.  For each line of its input, seconds and a number, it does the task as long
as that to get warm, then as often as that, and answers with a line of JSON.
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
"""Does a task once; may tell more than the seconds that it took."""


def main() -> None:
    # Whatever a task prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task, *arguments = sys.argv[1:]
    work = TASKS[task](*arguments)
    for line in sys.stdin:
        warm_s, repeats = line.split()
        end = time.perf_counter() + float(warm_s)
        while time.perf_counter() < end:
            work()
        print(json.dumps([_timed(work) for _ in range(int(repeats))]), file=answers, flush=True)


def _timed(work: Work) -> dict[str, float]:
    begin = time.perf_counter()
    told = work()
    return {"seconds": time.perf_counter() - begin, **(told or {})}


def gemm(multiply_adds: str) -> Work:
    """A product of two square float32 matrices that takes so many multiply-adds, by numpy's BLAS."""
    size = round(int(multiply_adds) ** (1 / 3))
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)

    def work() -> None:
        np.matmul(a, b, out=out)

    return work


class StageTimes:
    """Keeps what the last answer took, by stage."""

    def __init__(self, stages: dict[str, float]) -> None:
        self._stages = stages

    def loaded(self, seconds: float) -> None:
        pass

    def classified(self, result: Any) -> None:
        self._stages.update(result.seconds)


def engine(place: str, threads: str, sound: str) -> Work:
    """The bare invocation of a bundle's network by LiteRT, on ten seconds of a sound."""
    from ai_edge_litert.interpreter import Interpreter

    from audio_classifier.audio.log_mel import log_mel_patches
    from audio_classifier.audio.reader import read_window
    from audio_classifier.hub.bundles import open_bundle

    patches = log_mel_patches(read_window(sound))
    interpreter = Interpreter(str(open_bundle(place).path("embedding.tflite")), num_threads=int(threads))
    (tensor,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(tensor["index"], patches.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(tensor["index"], patches)
    return interpreter.invoke  # type: ignore[no-any-return]


def handler(name: str, event: str) -> Work:
    """A Lambda handler, called as the runtime client does with an event of API Gateway.

    Of each answer: seconds by stage, and the ``rest``.
    """
    path, _, attribute = name.rpartition(".")
    module = import_module(path)
    function = getattr(module, attribute)
    parsed = json.loads(Path(event).read_bytes())
    context: Any = SimpleNamespace(
        function_name="benchmark", memory_limit_in_mb=0, invoked_function_arn="", aws_request_id=""
    )
    stages: dict[str, float] = getattr(module, "seconds", {})  # of a peer
    if service := getattr(module, "service", None):
        service.observe(StageTimes(stages))

    def work() -> dict[str, float]:
        begin = time.perf_counter()
        answer = function(parsed, context)
        seconds = time.perf_counter() - begin
        if answer["statusCode"] != 200:
            raise RuntimeError(answer["body"])
        return {**stages, "rest": seconds - sum(stages.values())}

    return work


def classify(place: str, sound: str, start_s: str) -> Work:
    """Ten seconds of a file."""
    from audio_classifier import AudioClassifier, Selection

    classifier = AudioClassifier.open(place)
    selection = Selection(classifier.labels)
    return lambda: classifier.classify(sound, selection, start_s=float(start_s)).seconds


def events(place: str, sound: str) -> Work:
    """A timeline of a whole file."""
    from audio_classifier import AudioClassifier

    classifier = AudioClassifier.open(place)
    return lambda: {"events": sum(1 for _ in classifier.events(sound))}


def many_files(place: str, folder: str, way: str) -> Work:
    """All files of a folder, ``one`` after the other or side by ``side``."""
    from audio_classifier import AudioClassifier, Selection
    from audio_classifier.cpus import available_cpus

    files = sorted(Path(folder).iterdir())
    # Half of the CPUs for the network, as the command line has it.
    classifier = AudioClassifier.open(place, threads=None if way == "one" else max(1, available_cpus() // 2))
    selection = Selection(classifier.labels)

    def work() -> dict[str, float]:
        if way == "one":
            for file in files:
                classifier.classify(file, selection)
        else:
            for answer in classifier.classify_many(files, selection):
                if isinstance(answer, Exception):
                    raise answer
        return {"files": len(files)}

    return work


def s3(place: str, sound: str) -> Work:
    """Ten seconds in the middle of an object, from a real S3 over HTTP: ``fetched_bytes``.

    The S3 is in the same process, whose seconds and memory so are mostly those of the S3.
    """
    from moto.server import ThreadedMotoServer

    from audio_classifier import AudioClassifier
    from audio_classifier.s3.client import s3_client
    from audio_classifier.s3.objects import ObjectRef, S3File

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
    client.create_bucket(Bucket="sounds")
    client.upload_file(sound, "sounds", "sound")
    fetched: list[int] = []
    client.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: fetched.append(parsed["ContentLength"])
    )
    classifier = AudioClassifier.open(place)

    def work() -> dict[str, float]:
        fetched.clear()
        classifier.predict(S3File(client, ObjectRef("sounds", "sound")), start_s=300)
        return {"fetched_bytes": sum(fetched), "requests": len(fetched)}

    return work


TASKS: Final[dict[str, Callable[..., Work]]] = {
    task.__name__: task for task in (gemm, engine, handler, classify, events, many_files, s3)
}

if __name__ == "__main__":
    main()
