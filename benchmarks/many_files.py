"""Hundreds of small files, one at a time and side by side: ``python -m benchmarks.many_files``.

Both are run in turn, in one go, so that what else the machine does hits both; medians are compared, after
the results were.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr

from audio_classifier import AudioClassifier, Selection
from audio_classifier.clip import Classification
from audio_classifier.cpus import available_cpus

ASSETS: Final = Path(__file__).parents[1] / "assets"
FILES: Final = 200
RATES_HZ: Final = (16_000, 44_100)
ROUNDS: Final = 7
HALF_OF_CPUS: Final = max(1, available_cpus() // 2)  # as the command line does


def make_files(folder: Path) -> list[Path]:
    """Pieces of our sounds, 1 to 10 s long, half of them at each rate."""
    generator = np.random.default_rng(0)
    sounds = [soundfile.read(path, dtype="float32", always_2d=True) for path in sorted(ASSETS.glob("*.wav"))]
    files = [folder / f"{number:03}.wav" for number in range(FILES)]
    for number, file in enumerate(files):
        signal, own_rate_hz = sounds[number % len(sounds)]
        rate_hz = RATES_HZ[number // len(sounds) % len(RATES_HZ)]
        mono = soxr.resample(signal.mean(axis=1), own_rate_hz, rate_hz)
        soundfile.write(file, mono[: round(generator.uniform(1, 10) * rate_hz)], rate_hz)
    return files


def main() -> None:
    classifier, beside_readers = AudioClassifier.open(), AudioClassifier.open(threads=HALF_OF_CPUS)
    selection = Selection(classifier.labels)
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder))
        ways: dict[str, Callable[[], list[Any]]] = {
            "one at a time": lambda: [classifier.classify(file, selection) for file in files],
            "side by side": lambda: list(beside_readers.classify_many(files, selection)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        answers = {}
        for _ in range(ROUNDS):
            for name, run in ways.items():
                begin = time.perf_counter()
                answers[name] = [answer.predictions for answer in run() if isinstance(answer, Classification)]
                seconds[name].append(time.perf_counter() - begin)
    one, other = (
        np.array([prediction.probability for answer in answers[name] for prediction in answer])
        for name in ways
    )
    if not np.allclose(one, other, atol=1e-5):
        raise SystemExit("the results differ")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"| {FILES} files, 1 to 10 s | median s | files/s | times as fast |\n|---|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} | {FILES / median:.0f} | {medians['one at a time'] / median:.2f} |")


if __name__ == "__main__":
    main()
