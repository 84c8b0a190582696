"""The teacher's layers in 8 bits: rounding of maps and kernels, and equalisation of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_classifier.audio.log_mel import log_mel_patches
from training.teacher.yamnet import HINT_SIZE, Layer, Teacher, read_layers, teacher_log_mels

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from tests.training.material import make_layers  # noqa: E402
from training.student.equalization import equalize  # noqa: E402
from training.student.network import Student, Trunk, with_teacher_offset  # noqa: E402
from training.student.rounding import LEVELS, WEIGHT_LEVELS, Rounding, round_kernel  # noqa: E402

LOG_MELS = np.random.default_rng(0).uniform(-6.9, 2, (12, 96, 64)).astype(np.float32)


def test_trunk_computes_the_teachers_pooled_embedding(golden_data: Path, assets: Path) -> None:
    path = golden_data / "distillation" / "teacher" / "yamnet.tflite"
    samples, _ = soundfile.read(assets / "rain.wav", dtype="float32")
    log_mels = teacher_log_mels(log_mel_patches(samples))
    _, hints = Teacher(path)(log_mels)
    with torch.inference_mode():
        pooled = Trunk.from_teacher(read_layers(path))(torch.from_numpy(log_mels)).mean((2, 3))
    assert pooled.shape[1] == HINT_SIZE
    np.testing.assert_allclose(pooled, hints, atol=1e-3)


def test_log_offset_is_replaced_by_the_teachers() -> None:
    log_mels = np.linspace(-4.6, 4, 100, dtype=np.float32)
    converted = with_teacher_offset(torch.from_numpy(log_mels))
    np.testing.assert_allclose(converted, teacher_log_mels(log_mels), atol=1e-5)


def test_maps_are_unchanged_until_a_limit_is_found() -> None:
    maps = torch.rand(5, 3)
    assert Rounding()(maps) is maps


@pytest.mark.parametrize("lower", [0.0, -6.9])
def test_maps_are_rounded_to_steps_within_limits(lower: float) -> None:
    rounding = Rounding(lower)
    rounding.find_limit(torch.linspace(lower, 4, 100_001))
    step = (float(rounding.limit) - lower) / LEVELS
    assert float(rounding.limit) == pytest.approx(4, abs=0.01)
    maps = torch.tensor([lower - 3, lower, 0.0, 1.234, 4.0, 90.0], requires_grad=True)
    rounded = rounding(maps)
    expected = maps.detach().clamp(lower, 4)
    torch.testing.assert_close(rounded, expected, atol=step, rtol=0)
    assert rounded[2] == 0  # exactly, because convolutions pad with zeros
    torch.testing.assert_close(rounded / step, (rounded / step).round(), atol=1e-3, rtol=0)
    rounded.sum().backward()
    assert maps.grad is not None
    assert maps.grad[[0, 3, 5]].tolist() == [0, 1, 0]


def test_outliers_do_not_raise_the_limit() -> None:
    rounding = Rounding()
    maps = torch.rand(200_000)
    maps[:5] = 1000
    rounding.find_limit(maps)
    assert float(rounding.limit) < 1.01


def test_an_all_zero_map_turns_rounding_on() -> None:
    rounding = Rounding()
    rounding.find_limit(torch.zeros(100))
    assert rounding.is_on
    assert rounding(torch.zeros(4)).tolist() == [0, 0, 0, 0]


def test_kernels_are_rounded_with_one_step_size_per_output() -> None:
    kernel = torch.randn(4, 7, 3, 3) * torch.tensor([1e-4, 1.0, 100.0, 0.0]).view(-1, 1, 1, 1)
    rounded = round_kernel(kernel)
    steps = kernel.flatten(1).abs().amax(1) / WEIGHT_LEVELS
    assert ((rounded - kernel).flatten(1).abs().amax(1) <= 0.51 * steps).all()
    assert (rounded != kernel)[:3].any()


def test_equalization_does_not_change_outputs() -> None:
    student, log_mels = Student(Trunk.from_teacher(uneven(make_layers()))).eval(), torch.from_numpy(LOG_MELS)
    with torch.inference_mode():
        before = student.outputs(student.trunk(log_mels).mean((2, 3)))
    equalize(student, log_mels)
    with torch.inference_mode():
        after = student.outputs(student.trunk(log_mels).mean((2, 3)))
    for expected, actual in zip(before, after, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_equalization_reduces_the_rounding_error_of_uneven_channels() -> None:
    log_mels = torch.from_numpy(LOG_MELS)
    errors = []
    for is_equalized in (False, True):
        student = Student(Trunk.from_teacher(uneven(make_layers()))).eval()
        with torch.inference_mode():
            expected = student.hint_from_pooled(student.trunk(log_mels).mean((2, 3)))
        if is_equalized:
            equalize(student, log_mels)
        student.trunk.begin_rounding(log_mels)
        with torch.inference_mode():
            actual = student.hint_from_pooled(student.trunk(log_mels).mean((2, 3)))
        errors.append(float((actual - expected).norm() / expected.norm()))
    plain, equalized = errors
    assert equalized < 0.1
    assert plain > 3 * equalized


def uneven(layers: list[Layer]) -> list[Layer]:
    """Scale the channels of pointwise layers to very different ranges, without changing the function."""
    rng, changed = np.random.default_rng(1), list(layers)
    for index in range(2, len(layers) - 2, 2):
        scale = np.exp(rng.uniform(-3.5, 3.5, len(layers[index].bias))).astype(np.float32)
        kernel, bias = changed[index]
        changed[index] = Layer(kernel * scale[:, np.newaxis, np.newaxis, np.newaxis], bias * scale)
        kernel, bias = changed[index + 1]
        changed[index + 1] = Layer(kernel / scale, bias)
    return changed
