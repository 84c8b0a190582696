"""A straightforward implementation of the published pipeline, shared by the two peers.

It decodes, resamples and embeds the whole file, as IBM's code does (``core/model.py``, ``core/vggish_*.py``
of IBM/MAX-Audio-Classifier), and responds with FastAPI on Lambda.  Each peer supplies the two networks.
Three simplifications favour the peers: weights are read from plain arrays instead of a checkpoint and a Keras
file, the classifier's BatchNorm is folded into its layers, and soxr may replace resampy, the original's
resampler (``BENCHMARK_RESAMPLER``).
"""

from __future__ import annotations

import csv
import os
import time
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from fastapi import FastAPI, UploadFile
from mangum import Mangum
from numpy.typing import NDArray

from benchmarks.paths import Paths

CPUS: Final = int(os.environ["BENCHMARK_CPUS"])
RATE_HZ: Final = 16_000
FRAME, HOP, FFT = 400, 160, 512
PATCH_FRAMES: Final = 96
# VGGish's convolutions, with a max-pool after each group, and its dense layers (``vggish_slim.py``).
CONVOLUTIONS: Final = (
    ("conv1",),
    ("conv2",),
    ("conv3/conv3_1", "conv3/conv3_2"),
    ("conv4/conv4_1", "conv4/conv4_2"),
)
DENSE: Final = ("fc1/fc1_1", "fc1/fc1_2", "fc2")
ROWS: Final = 10
TOP: Final = 5
STAGES: Final = ("read", "features", "embedding", "head")

Array = NDArray[Any]

# Seconds of the last classification by stage, with the keys of `Classification.seconds`.
seconds: dict[str, float] = {}

if os.environ["BENCHMARK_RESAMPLER"] == "soxr":
    import soxr

    def _resample(signal: Array, rate_hz: int) -> Array:
        return np.asarray(soxr.resample(signal, rate_hz, RATE_HZ, quality="VHQ"))
else:
    import resampy

    def _resample(signal: Array, rate_hz: int) -> Array:
        return np.asarray(resampy.resample(signal, rate_hz, RATE_HZ))


def weights() -> Mapping[str, Array]:
    """Load the random weights of the test material."""
    with np.load(_paths().weights) as arrays:
        return dict(arrays)


def function(
    embed: Callable[[Array], Array], classify: Callable[[Array], Array], pca: tuple[Array, Array]
) -> Mangum:
    """Return the handler of a Lambda function with two networks.

    Parameters
    ----------
    embed
        Converts ``(patches, 96, 64)`` float32 log-mels to ``(patches, 128)`` embeddings.
    classify
        Converts ``(10, 128)`` float32 codes in -1..1 to ``(527,)`` probabilities.
    pca
        Eigenvectors ``(128, 128)`` and means ``(128, 1)``.
    """
    with (_paths().bundle("float32") / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    app = FastAPI()

    @app.post("/model/predict")
    def predict(audio: UploadFile) -> dict[str, Any]:
        times = [time.perf_counter()]
        samples = _samples(audio.file)
        times.append(time.perf_counter())
        patches = _patches(samples)
        times.append(time.perf_counter())
        embeddings = embed(patches)
        times.append(time.perf_counter())
        codes = _codes(embeddings, *pca)
        while len(codes) < ROWS:
            codes = np.concatenate([codes, codes])
        probabilities = classify((codes[:ROWS].astype(np.float32) - 128) / 128)
        times.append(time.perf_counter())
        seconds.update(zip(STAGES, np.diff(times).tolist(), strict=True))
        return {
            "status": "ok",
            "predictions": [
                {
                    "label_id": labels[index]["mid"],
                    "label": labels[index]["display_name"],
                    "probability": float(probabilities[index]),
                }
                for index in np.argsort(probabilities)[::-1][:TOP]
            ],
        }

    return Mangum(app, lifespan="off")


def _paths() -> Paths:
    return Paths(Path(os.environ["BENCHMARK_MATERIAL"]))


def _samples(file: Any) -> Array:
    with wave.open(file, "rb") as wav:
        frames = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
        return _resample((frames / 32768).mean(axis=1), wav.getframerate())


def _patches(samples: Array) -> Array:
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi / FRAME * np.arange(FRAME))
    log_mel = np.log(np.abs(np.fft.rfft(frames * window, FFT)) @ _mel_matrix() + 0.01)
    whole = len(log_mel) // PATCH_FRAMES * PATCH_FRAMES
    return log_mel[:whole].reshape(-1, PATCH_FRAMES, log_mel.shape[1]).astype(np.float32)


def _mel_matrix() -> Array:
    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    bins = mel(np.linspace(0, RATE_HZ / 2, FFT // 2 + 1))[:, np.newaxis]
    edges = np.linspace(mel(125), mel(7500), 66)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    matrix = np.maximum(0, np.minimum(rising, falling))
    matrix[0] = 0
    return np.asarray(matrix)


def _codes(embeddings: Array, eigenvectors: Array, means: Array) -> Array:
    projected = (eigenvectors @ (embeddings.T - means)).T
    return np.asarray((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
