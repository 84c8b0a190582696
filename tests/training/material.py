"""A small pool of noises and tones, and a teacher that tells them apart, for what learns from both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import SAMPLE_RATE_HZ
from training.data.clips import ClipPool, ClipWriter
from training.teacher.yamnet import HINT_SIZE, TEACHER_CLASSES, Layer

TONE, NOISE = 100, 200


class FakeTeacher:
    """Hears class `TONE` where few mel bands have the power, and class `NOISE` where all have."""

    def __call__(self, log_mels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = np.full((len(log_mels), TEACHER_CLASSES), -8.0, np.float32)
        spread = log_mels.mean(axis=1).std(axis=1)
        logits[:, TONE], logits[:, NOISE] = 8 * (spread - 1), -8 * (spread - 1)
        return logits, self.embed(log_mels)

    def embed(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, 1024)``, something that depends on the sound."""
        mixed = np.abs(np.random.default_rng(0).normal(size=(log_mels.shape[2], HINT_SIZE)))
        return np.asarray(np.exp(log_mels).mean(axis=1) @ mixed, np.float32)


def make_pool(folder: Path, clips: int = 60) -> ClipPool:
    """Clips of half a second to 13 s, noise and tones in turns, each a recording of its own."""
    rng = np.random.default_rng(0)
    with ClipWriter(folder) as writer:
        for index in range(clips):
            seconds = np.arange(int(SAMPLE_RATE_HZ * rng.uniform(0.5, 13))) / SAMPLE_RATE_HZ
            tone = np.sin(2 * np.pi * rng.uniform(200, 4000) * seconds)
            sound = 0.5 * tone if index % 2 else 0.1 * rng.normal(size=len(seconds))
            source = f"source-{index % 3}"
            writer.add(source, f"recording-{index}", "CC0", (sound * 20_000).astype(np.int16))
    return ClipPool.open(folder)


def make_layers(channels: int = 32) -> list[Layer]:
    """Layers as the teacher's, of random weights, each with as many channels, the last with 1024.

    Those that look around look at the middle most: so what is told apart stays so through all of them.
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
