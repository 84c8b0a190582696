"""A small pool of noise and tones, and a teacher that distinguishes them, for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.constants import CLASSES, SAMPLE_RATE_HZ
from training.data.clips import ClipPool, ClipWriter
from training.teacher.clip_teacher import ClipLogits
from training.teacher.yamnet import (
    HINT_SIZE,
    TEACHER_CLASSES,
    Layer,
    known_classes,
    teacher_log_mels,
    unknown_classes,
)

TONE, NOISE = 100, 200  # indices among YAMNet's classes
UNKNOWN = int(unknown_classes()[0])  # index among all classes


class FakeTeacher:
    """Scores class `TONE` if few mel bands contain the power, and class `NOISE` if all do."""

    def __call__(self, log_mels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = np.full((len(log_mels), TEACHER_CLASSES), -8.0, np.float32)
        spread = log_mels.mean(axis=1).std(axis=1)
        logits[:, TONE], logits[:, NOISE] = 8 * (spread - 1), -8 * (spread - 1)
        return logits, self.embed(log_mels)

    def embed(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings that depend on the input, ``(n, 1024)``."""
        mixed = np.abs(np.random.default_rng(0).normal(size=(log_mels.shape[2], HINT_SIZE)))
        return np.asarray(np.exp(log_mels).mean(axis=1) @ mixed, np.float32)


class FakeClipTeacher:
    """Scores the class `UNKNOWN`, which YAMNet does not know, as `FakeTeacher` scores `TONE`."""

    def __call__(self, signal: NDArray[np.float32], patches: int) -> ClipLogits:
        logits, _ = FakeTeacher()(teacher_log_mels(log_mel_patches(signal)[:patches]))
        clip = np.full((patches, CLASSES), -8.0, np.float32)
        clip[:, known_classes()] = logits.mean(axis=0)
        clip[:, UNKNOWN] = logits[:, TONE].mean()
        pair = clip.copy()
        pair[-1] = np.nan
        return ClipLogits(clip, pair)


def make_pool(folder: Path, clips: int = 60) -> ClipPool:
    """Write clips of 0.5 to 13 s, alternately noise and tones, each of a separate recording."""
    rng = np.random.default_rng(0)
    with ClipWriter(folder) as writer:
        for index in range(clips):
            seconds = np.arange(int(SAMPLE_RATE_HZ * rng.uniform(0.5, 13))) / SAMPLE_RATE_HZ
            tone = np.sin(2 * np.pi * rng.uniform(200, 4000) * seconds)
            signal = 0.5 * tone if index % 2 else 0.1 * rng.normal(size=len(seconds))
            source = f"source-{index % 3}"
            writer.add(source, f"recording-{index}", "CC0", (signal * 20_000).astype(np.int16))
    return ClipPool.open(folder)


def make_layers(channels: int = 32) -> list[Layer]:
    """Make layers of the teacher's architecture with random weights and few channels, the last with 1024.

    Depthwise kernels weight their centre most, so that tones and noise remain distinguishable in all layers.
    """
    rng = np.random.default_rng(0)

    def layer(outputs: int, size: int, inputs: int, biases: int) -> Layer:
        kernel = rng.normal(0, np.sqrt(2 / inputs) if size == 1 else 0.1, (outputs, size, size, inputs))
        if size > 1:
            kernel[:, 1, 1] += 1
        return Layer(kernel.astype(np.float32), rng.uniform(-0.1, 0.1, biases).astype(np.float32))

    layers = [layer(channels, 3, 1, channels)]
    for outputs in (*[channels] * 12, HINT_SIZE):
        layers += [layer(1, 3, channels, channels), layer(outputs, 1, channels, outputs)]
    return [*layers, layer(TEACHER_CLASSES, 1, HINT_SIZE, TEACHER_CLASSES)]
