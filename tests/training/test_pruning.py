"""The student begins with what its teacher knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_classifier.features import log_mel_patches
from tests.training.material import make_layers
from training.teacher import Teacher, read_layers, teacher_log_mels

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from training.pruning import choose, covariance, least_squares, prune, whole  # noqa: E402
from training.student import with_teacher_offset  # noqa: E402

LOG_MELS = np.random.default_rng(0).uniform(-6.9, 2, (12, 96, 64)).astype(np.float32)


def test_unpruned_it_is_the_teacher(shared: Path, assets: Path) -> None:
    path = shared / "distillation" / "teacher" / "yamnet.tflite"
    samples, _ = soundfile.read(assets / "rain.wav", dtype="float32")
    log_mels = teacher_log_mels(log_mel_patches(samples))
    _, hints = Teacher(path)(log_mels)
    layers = read_layers(path)
    with torch.inference_mode():
        pooled = whole(layers[:-1])(torch.from_numpy(log_mels)).mean((2, 3))
    np.testing.assert_allclose(pooled, hints, atol=1e-3)


def test_a_teacher_whose_channels_all_stay_stays_the_same() -> None:
    layers, log_mels = make_layers(8), torch.from_numpy(LOG_MELS)
    teacher = whole(layers[:-1])
    pruned = prune(layers, teacher.channels, log_mels)
    with torch.inference_mode():
        torch.testing.assert_close(pruned(log_mels), teacher(log_mels), rtol=0.02, atol=0.02)


def test_channels_that_say_the_same_are_not_missed() -> None:
    """Half of the channels repeat the others, so half of them are enough."""
    layers = make_layers(16)
    doubled = [double(layer, index) for index, layer in enumerate(layers)]
    log_mels = torch.from_numpy(LOG_MELS)
    pruned = prune(doubled, [16] * 14, log_mels)
    with torch.inference_mode():
        expected = whole(layers[:-1])(log_mels).mean((2, 3))
        actual = pruned(log_mels).mean((2, 3))
    assert set(np.round(actual[0].numpy(), 2)) == set(np.round(expected[0].numpy(), 2))


def double(layer: Any, index: int) -> Any:
    """Each channel twice: outputs are repeated, and what was one input's weight is shared by two."""
    kernel, bias = layer
    last = kernel.ndim == 2
    if last:
        return layer._replace(kernel=np.concatenate([kernel, kernel], axis=1) / 2)
    if index % 2:  # depthwise
        return layer._replace(kernel=np.concatenate([kernel, kernel], axis=3), bias=np.tile(bias, 2))
    wide = kernel if index == 0 else np.concatenate([kernel, kernel], axis=3) / 2
    return layer._replace(kernel=np.concatenate([wide, wide]), bias=np.tile(bias, 2))


def test_the_channels_are_chosen_that_tell_most_together() -> None:
    rng = np.random.default_rng(0)
    first, second, third = rng.normal(size=(3, 5000))
    # The second says what the first does; the third is weak, but says something else; the last is silent.
    rows = torch.tensor(np.column_stack([3 * first, 3 * first + 0.1 * second, third, 0 * first]))
    kernel = torch.tensor([[1.0, 1.0, 1.0, 5.0]])
    assert choose(covariance(rows), kernel, 2).tolist() in ([0, 2], [1, 2])
    assert choose(covariance(rows), kernel, 4).tolist() == [0, 1, 2, 3]


def test_a_layer_is_fitted_with_its_bias() -> None:
    rng = np.random.default_rng(0)
    inputs = torch.tensor(rng.normal(2, 1, (500, 3)), dtype=torch.float32)
    wanted = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]])
    kernel, bias = least_squares(inputs, inputs @ wanted.T + torch.tensor([3.0, -1.0]))
    torch.testing.assert_close(kernel, wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(bias, torch.tensor([3.0, -1.0]), atol=5e-3, rtol=0)


def test_the_offset_in_the_logarithm_is_the_teachers() -> None:
    ours = np.linspace(-4.6, 4, 100, dtype=np.float32)
    np.testing.assert_allclose(with_teacher_offset(torch.from_numpy(ours)), teacher_log_mels(ours), atol=1e-5)
