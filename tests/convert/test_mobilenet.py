from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.convert.efficientat_models import PUBLISHED
from audio_classifier.convert.mobilenet import (
    Convolution,
    check_state,
    fold,
    network,
    scaled,
    tensor_shapes,
)
from audio_classifier.convert.mobilenet_export import Precision, export_network, run_network
from audio_classifier.convert.mobilenet_reference import forward
from audio_classifier.convert.torch_file import read_state_dict
from audio_classifier.errors import ArtifactFormatError, ConversionError
from tests.support.torch_files import random_state

# Of 0.1, several blocks have as many expanded channels as inputs, and thus no expansion.
WIDTHS = (0.1, 0.4, 1.0)


def log_mels(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((*shape, 128), np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize(
    ("name", "millions"),
    [("mn04", 0.983), ("mn05", 1.43), ("mn10", 4.88), ("mn20", 17.91), ("mn30", 39.09), ("mn40", 68.43)],
)
def test_network_has_as_many_parameters_as_published(name: str, millions: float) -> None:
    shapes = tensor_shapes(network(PUBLISHED[name].width))
    count = sum(math.prod(shape) for label, shape in shapes if "running" not in label)
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize(
    ("channels", "rounded"), [(0.1, 8), (11.2, 16), (12, 16), (11.9, 16), (16, 16), (17.6, 16), (97.6, 96)]
)
def test_channels_are_rounded_to_multiples_of_eight(channels: float, rounded: int) -> None:
    assert scaled(channels) == rounded


def test_folded_convolution_equals_convolution_and_normalisation() -> None:
    state = random_state(0.1)
    layer = network(0.1).blocks[0].layers[0]
    assert isinstance(layer, Convolution)
    kernel, bias = fold(state, layer)
    patch = np.random.default_rng(0).standard_normal((1, 3, 3))
    gamma, beta, mean, variance = (
        state[f"features.0.1.{field}"] for field in ("weight", "bias", "running_mean", "running_var")
    )
    plain = (state["features.0.0.weight"] * patch).sum((1, 2, 3))
    expected = (plain - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose((kernel * patch).sum((1, 2, 3)) + bias, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", 1e-2)])
def test_export_equals_numpy_for_every_number_of_clips_and_frames(
    width: float, precision: Precision, tolerance: float
) -> None:
    state, net = random_state(width), network(width)
    model = export_network(state, net, precision)
    for shape in ((1, 1), (1, 2), (3, 50), (2, 101)):
        source = log_mels(*shape)
        expected = forward(state, net, source)
        actual = run_network(model, source)
        assert actual.shape == (shape[0], 527)
        assert np.abs(actual - expected).max() < tolerance * np.ptp(expected)


def test_clips_of_a_batch_do_not_influence_each_other() -> None:
    model = export_network(random_state(0.1), network(0.1))
    source = log_mels(3, 40)
    single = np.concatenate([run_network(model, clip[None]) for clip in source])
    np.testing.assert_allclose(run_network(model, source), single, rtol=1e-4, atol=1e-4)


def test_float16_halves_the_size_and_keeps_biases() -> None:
    state = random_state(0.4)
    state["classifier.5.weight"][:] = 0
    state["classifier.5.bias"][:] = 1 + np.arange(527, dtype=np.float32) / 65536  # not float16 numbers
    net = network(0.4)
    half = export_network(state, net, "float16")
    assert len(half) / len(export_network(state, net)) == pytest.approx(0.51, abs=0.02)
    np.testing.assert_array_equal(run_network(half, log_mels(1, 10))[0], state["classifier.5.bias"])


def test_export_runs_as_one_delegated_partition() -> None:
    from ai_edge_litert.interpreter import Interpreter

    for precision in ("float32", "float16"):
        model = export_network(random_state(0.1), network(0.1), precision)
        interpreter = Interpreter(model_content=model)
        interpreter.allocate_tensors()
        names = [operator["op_name"] for operator in interpreter._get_ops_details()]
        assert names.count("DELEGATE") == 1
        (signature,) = interpreter.get_signature_list().values()
        assert signature == {"inputs": ["log_mel"], "outputs": ["logits"]}


def test_weights_that_float16_cannot_hold_are_refused() -> None:
    state = random_state(0.1)
    state["classifier.5.weight"][0, 0] = 1e6
    with pytest.raises(ConversionError, match=r"float16 network deviates from numpy .* accepted 2\.00%"):
        export_network(state, network(0.1), "float16")


def test_weights_that_overflow_are_refused() -> None:
    state = {label: array * np.asarray(1e30, array.dtype) for label, array in random_state(0.1).items()
             if array.dtype == np.float32}  # fmt: skip
    with pytest.raises(ConversionError, match="deviates from numpy"):
        export_network(state, network(0.1))


@pytest.mark.parametrize(
    ("label", "value", "match"),
    [
        ("classifier.5.bias", None, "the tensor classifier.5.bias is missing"),
        ("classifier.5.bias", np.zeros(50, np.float32), r"must have the shape \(527,\), got \(50,\)"),
        ("features.0.1.bias", np.full(8, np.nan, np.float32), "finite floating-point"),
        ("features.0.1.bias", np.zeros(8, np.int64), "finite floating-point"),
        ("features.0.1.running_var", np.full(8, -1, np.float32), "must not be negative"),
        ("classifier.9.bias", np.zeros(8, np.float32), "has no tensor 'classifier.9.bias'"),
    ],
)
def test_tensor_that_differs_from_the_network_is_named(
    label: str, value: NDArray[np.float32] | None, match: str
) -> None:
    state = {**random_state(0.1), label: value}
    with pytest.raises(ArtifactFormatError, match=match):
        check_state({key: array for key, array in state.items() if array is not None}, network(0.1))


def test_published_weights_give_the_logits_of_the_authors_code(golden_data: Path) -> None:
    folder = golden_data / "models" / "efficientat-mn04"
    if not folder.is_dir():
        pytest.skip("the published weights are not available on this machine")
    net = network(0.4)
    state = read_state_dict(folder / "mn04_as_mAP_432.pt", max_bytes=5_000_000)
    check_state(state, net)
    model, half = export_network(state, net), export_network(state, net, "float16")
    golden = np.load(folder / "golden.npz")
    keys = [key.removesuffix("log_mel") for key in golden.files if key.endswith("log_mel")]
    assert keys
    for key in keys:
        source, logits = np.ascontiguousarray(golden[f"{key}log_mel"].T[None]), golden[f"{key}logits"]
        np.testing.assert_allclose(forward(state, net, source)[0], logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(run_network(model, source)[0], logits, rtol=0, atol=1e-4)
        halved = run_network(half, source)[0]
        np.testing.assert_allclose(sigmoid(halved), sigmoid(logits), rtol=0, atol=0.01)
