"""Measure the upload function on a recording of a day: ``python -m benchmarks.day_long``.

The function runs under Amazon's runtime client with two CPUs.  S3 is the server of ``AWS_ENDPOINT_URL``, for
example ``rclone serve s3``, because moto reads the whole object for each range.  The recordings consist of
the project's own sounds, as FLAC at 16 kHz.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.cold import MEMORY_MB
from benchmarks.deployed import MALLOC
from benchmarks.function import running
from benchmarks.paths import COMPACT

HOUR_S: Final = 3600
TIME_LIMIT_S: Final = 900  # the longest that Lambda permits
KEY: Final = "recording.flac"
GENERATE: Final = """
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

path, seconds, assets = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
sounds = []
for name in sorted(assets.glob("*.wav")):
    samples, rate_hz = soundfile.read(name, always_2d=True)
    sounds.append(soxr.resample(samples.mean(axis=1), rate_hz, 16_000))
piece = np.concatenate(sounds)
with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as out:
    for _ in range(0, seconds * 16_000, len(piece)):
        out.write(piece)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day_long", description=__doc__)
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 24], help="of the recordings (1 24)")
    parser.add_argument("--folder", type=Path, help="for the recordings (a temporary one)")
    arguments = parser.parse_args()
    if "AWS_ENDPOINT_URL" not in os.environ:
        parser.error("set AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for count in arguments.hours:
            print(json.dumps({"hours": count, **measure(Path(folder), count * HOUR_S)}), flush=True)


def measure(folder: Path, seconds: int) -> dict[str, Any]:
    """Upload a recording, process its notification, and describe the stored result and the process."""
    recording = folder / KEY
    assets = Path(__file__).parents[1] / "assets"
    subprocess.run([sys.executable, "-c", GENERATE, recording, str(seconds), assets], check=True)
    bucket, results = f"uploads-{seconds}", f"results-{seconds}"
    upload = f"""
import boto3
client = boto3.client("s3")
for name in ({bucket!r}, {results!r}):
    client.create_bucket(Bucket=name)
client.upload_file({str(recording)!r}, {bucket!r}, {KEY!r})
"""
    subprocess.run([sys.executable, "-c", upload], check=True)
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": KEY}}}
    event = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", **record}]}
    variables = {
        **MALLOC,
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        "PYTHONPATH": str(Path(__file__).parents[1] / "function"),
        "AUDIO_CLASSIFIER_BUNDLE": COMPACT,
        "AUDIO_CLASSIFIER_RESULTS_BUCKET": results,
        "AUDIO_CLASSIFIER_TIMELINE_OVER_S": "10",
        "AUDIO_CLASSIFIER_MAX_TIMELINE_S": "86500",
        "AUDIO_CLASSIFIER_WARM_UP": "uploads",
    }
    boot = Path(__file__).parents[1] / "function" / "audio_classifier" / "boot.py"
    with running(
        [sys.executable, "-P", str(boot)], memory_mb=MEMORY_MB, variables=variables, time_limit_s=TIME_LIMIT_S
    ) as function:
        function.wait_until_ready()
        begin = time.perf_counter()
        function.process(event, timeout_s=TIME_LIMIT_S)
        elapsed_s = time.perf_counter() - begin
    show = f"""
import boto3, json
client = boto3.client("s3")
body = client.get_object(Bucket={results!r}, Key="results/{KEY}.json")["Body"].read()
timeline = json.loads(body)["timeline"]
parts = timeline.get("parts", [])
print(json.dumps({{
    "status": timeline["status"], "index_bytes": len(body), "parts": len(parts),
    "part_bytes": max((part["bytes"] for part in parts), default=0),
    "windows": sum(part["windows"] for part in parts) or len(timeline.get("windows", [])),
}}))
"""
    stored = json.loads(
        subprocess.run([sys.executable, "-c", show], check=True, stdout=subprocess.PIPE).stdout
    )
    size_mb = recording.stat().st_size / 1e6
    recording.unlink()
    return {
        "recording_mb": round(size_mb, 1),
        "seconds": round(elapsed_s, 1),
        "peak_mb": round(function.result.peak_mb, 1),
        **stored,
    }


if __name__ == "__main__":
    main()
