"""Process start to printed result, beside `import tensorflow` alone: ``python -m benchmarks.startup``.

Both are run in turn, in one go, so that what else the machine does hits both; medians are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

RUNS: Final = 7
DURATION_S: Final = 10
RATE_HZ: Final = 44_100


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Run a command to its end; the seconds it took and the megabytes it held at its peak (``ru_maxrss``)."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "ten-seconds.wav")
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (DURATION_S * RATE_HZ, 2))
        soundfile.write(wav, noise, RATE_HZ, subtype="PCM_16")
        commands = {
            "classify 10 s of 44.1 kHz stereo, compact bundle": (
                str(Path(sys.executable).with_name("audio-classifier")),
                "classify",
                str(wav),
            ),
            "import numpy": (sys.executable, "-c", "import numpy"),
            "import tensorflow": (sys.executable, "-c", "import tensorflow"),
        }
        for command in commands.values():
            measure(command)  # once, to fill the file cache
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                runs[name].append(measure(command))
    medians = {
        name: [statistics.median(values) for values in zip(*pairs, strict=True)]
        for name, pairs in runs.items()
    }
    whole = medians["import tensorflow"][0]
    print("| process, start to end | median s | of `import tensorflow` | peak MB |\n|---|---|---|---|")
    for name, (seconds, peak_mb) in medians.items():
        print(f"| {name} | {seconds:.2f} | {seconds / whole:.2f} | {peak_mb:.0f} |")


if __name__ == "__main__":
    main()
