from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.convert.keras_classifier import read_classifier
from audio_classifier.errors import ArtifactFormatError
from tests.support.keras_files import CLASSES, Change, KerasFile, multi_level, single_level

CLIP = np.random.default_rng(9).uniform(-1, 1, (10, 128)).astype(np.float32)


def evaluate(file: KerasFile, output: str, epsilon: float = 1e-3) -> NDArray[np.float32]:
    """Compute what Keras would, layer by layer in the order of the file."""
    values: dict[str, Any] = {}
    activations = {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    }
    for layer in file.layers:
        name, weights = layer["name"], file.weights[layer["name"]]
        inputs = [values[source[0]] for source in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
        match layer["class_name"]:
            case "InputLayer":
                values[name] = CLIP
            case "Dense":
                x = inputs[0] @ weights["kernel"] + weights.get("bias", 0)
                values[name] = activations[layer["config"]["activation"]](x)
            case "BatchNormalization":
                scale = weights.get("gamma", 1) / np.sqrt(weights["moving_variance"] + epsilon)
                values[name] = (inputs[0] - weights["moving_mean"]) * scale + weights.get("beta", 0)
            case "Activation":
                values[name] = activations[layer["config"]["activation"]](inputs[0])
            case "ReLU":
                values[name] = np.maximum(inputs[0], 0)
            case "Dropout":
                values[name] = inputs[0]
            case "Lambda":
                attention = np.clip(inputs[1], 1e-7, 1 - 1e-7)
                values[name] = (inputs[0] * attention / attention.sum(axis=0)).sum(axis=0)
            case "Concatenate":
                values[name] = np.concatenate(inputs)
    return np.asarray(values[output], np.float32)


@pytest.mark.parametrize(
    ("widths", "levels"),
    [((16, 12, 8), 2), ((16,), 1), ((16, 12), 2), ((16, 12, 8, 8), 3), ((16, 12, 8, 8), 1)],
)
@pytest.mark.parametrize("offset", [0, 8])
@pytest.mark.parametrize("weights_only", [False, True])
def test_file_of_any_depth_and_layer_numbers_is_read(
    tmp_path: Path, widths: tuple[int, ...], levels: int, offset: int, weights_only: bool
) -> None:
    file, output = multi_level(widths, levels, offset=offset)
    head = read_classifier(file.write(tmp_path / "c.h5", output, weights_only=weights_only))
    assert head.classes == CLASSES
    np.testing.assert_allclose(head(CLIP), evaluate(file, output), atol=1e-5)


@pytest.mark.parametrize("weights_only", [False, True])
def test_file_with_a_single_level_is_read(tmp_path: Path, weights_only: bool) -> None:
    file, output = single_level()
    head = read_classifier(file.write(tmp_path / "c.h5", output, weights_only=weights_only))
    np.testing.assert_allclose(head(CLIP), evaluate(file, output), atol=1e-5)


def test_epsilon_is_taken_from_the_file(tmp_path: Path) -> None:
    file, output = multi_level(epsilon=0.3)
    head = read_classifier(file.write(tmp_path / "c.h5", output))
    np.testing.assert_allclose(head(CLIP), evaluate(file, output, epsilon=0.3), atol=1e-5)


def without_bias(file: KerasFile) -> None:
    del file.weights["dense_1"]["bias"]


def without_scale_and_centre(file: KerasFile) -> None:
    del file.weights["batch_normalization_1"]["gamma"], file.weights["batch_normalization_1"]["beta"]


def relu_layer(file: KerasFile) -> None:
    file.layer("activation_1").update(class_name="ReLU", config={})


def reversed_levels(file: KerasFile) -> None:
    """List the levels in reverse order, because layers can be in any order."""
    pools = file.layer("concatenate_1")["inbound_nodes"][0]
    pools.reverse()


@pytest.mark.parametrize("change", [without_bias, without_scale_and_centre, relu_layer, reversed_levels])
def test_variant_of_the_architecture_is_read(tmp_path: Path, change: Change) -> None:
    file, output = multi_level()
    change(file)
    head = read_classifier(file.write(tmp_path / "c.h5", output))
    np.testing.assert_allclose(head(CLIP), evaluate(file, output), atol=1e-5)


def replace_config(name: str, **config: Any) -> Change:
    return lambda file: file.layer(name)["config"].update(config)


def replace_kind(name: str, kind: str) -> Change:
    return lambda file: file.layer(name).update(class_name=kind)


def replace_inputs(name: str, *sources: str) -> Change:
    return lambda file: file.layer(name).update(inbound_nodes=[[[source, 0, 0, {}] for source in sources]])


def replace_weight(layer: str, name: str, value: Any) -> Change:
    return lambda file: file.weights[layer].update({name: value})


def drop_weight(layer: str, name: str) -> Change:
    return lambda file: file.weights[layer].pop(name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(
            replace_inputs("lambda_1", "dense_4"),
            "'lambda_1' .Lambda with 1 inputs. is not",
            id="max pooling",
        ),
        pytest.param(
            replace_inputs("lambda_2", "dense_6", "dense_7", "dense_4"), "'lambda_2'", id="three inputs"
        ),
        pytest.param(
            replace_inputs("lambda_1", "dense_5", "dense_4"), "'dense_5' has the activation", id="swapped"
        ),
        pytest.param(
            replace_inputs("lambda_2", "dense_6", "dense_5"), "'lambda_2' pools .* different", id="mixed"
        ),
        pytest.param(
            replace_config("lambda_1", arguments={"k": 1}), "'lambda_1'", id="Lambda with arguments"
        ),
        pytest.param(
            replace_config("dense_5", activation="sigmoid"),
            "'dense_5' has the activation",
            id="feature level",
        ),
        pytest.param(
            replace_config("activation_2", activation="tanh"),
            "'activation_2' has the activation tanh",
            id="tanh",
        ),
        pytest.param(
            replace_config("activation_4", activation="softmax"), "'activation_4'", id="softmax output"
        ),
        pytest.param(
            replace_config("batch_normalization_2", axis=1),
            "must normalize the last axis, got axis 1",
            id="other axis of BatchNorm",
        ),
        pytest.param(
            replace_config("concatenate_1", axis=0),
            "must concatenate the last axis, got axis 0",
            id="other axis of concatenation",
        ),
        pytest.param(replace_kind("dropout_1", "GRU"), "'dropout_1' is a GRU", id="recurrent"),
        pytest.param(replace_kind("dense_2", "Conv1D"), "'dense_2' is a Conv1D", id="convolution"),
        pytest.param(
            replace_inputs("dense_2", "nowhere"), "'nowhere' is referenced .* but not defined", id="dangling"
        ),
        pytest.param(replace_inputs("dense_1", "dropout_3"), "part of a cycle", id="cycle"),
        pytest.param(replace_inputs("dropout_1", "dropout_1"), "dropout_1", id="dropout of itself"),
        pytest.param(
            replace_inputs("dense_4", "dropout_1", "dropout_2"),
            "'dense_4' .Dense. has 2 inputs",
            id="two inputs",
        ),
        pytest.param(
            replace_config("batch_normalization_1", epsilon=-9), "not positive", id="negative epsilon"
        ),
        pytest.param(
            replace_config("batch_normalization_1", epsilon="x"), "not a Keras HDF5", id="epsilon of text"
        ),
        pytest.param(
            lambda file: file.layer("dense_1").update(config=None), "not a Keras HDF5", id="no config"
        ),
        pytest.param(replace_inputs("concatenate_1"), "not a Keras HDF5", id="no inputs to concatenate"),
        pytest.param(drop_weight("dense_3", "kernel"), "'dense_3' has no kernel", id="no kernel"),
        pytest.param(drop_weight("batch_normalization_1", "moving_mean"), "has no moving_mean", id="no mean"),
        pytest.param(
            replace_weight("dense_2", "kernel", np.ones((3, 3), np.float32)),
            "'dense_2' has a kernel of",
            id="wrong shape",
        ),
        pytest.param(
            replace_weight("dense_2", "kernel", np.ones(3, np.float32)),
            "'dense_2' has a kernel of",
            id="flat",
        ),
        pytest.param(
            replace_weight("dense_2", "bias", np.full(12, np.nan, np.float32)), "not finite", id="NaN"
        ),
        pytest.param(
            replace_weight("dense_2", "bias", np.array([b"x"])), "of type", id="text instead of numbers"
        ),
    ],
)
def test_layer_outside_of_the_family_is_refused_by_name(tmp_path: Path, change: Change, match: str) -> None:
    file, output = multi_level()
    change(file)
    with pytest.raises(ArtifactFormatError, match=match):
        read_classifier(file.write(tmp_path / "c.h5", output))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda file: (
                file.add("LSTM", "lstm") and file.weights["lstm_1"].update(kernel=np.ones(2, np.float32))
            ),
            "'lstm_1'",
        ),
        (
            lambda file: [file.weights.pop(f"batch_normalization_{i}") for i in (1, 2, 3)],
            "do not form an attention head",
        ),
        (lambda file: file.weights.update(dense_4=file.weights["dense_1"]), "differ in shape"),
    ],
)
def test_weights_outside_of_the_family_are_refused(tmp_path: Path, change: Change, match: str) -> None:
    file, output = multi_level()
    change(file)
    file.layers = [layer for layer in file.layers if layer["name"] in file.weights]
    with pytest.raises(ArtifactFormatError, match=match):
        read_classifier(file.write(tmp_path / "c.h5", output, weights_only=True))


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "[" * 20_000,
        '{"class_name": "Sequential"}',
        '{"class_name": "Model", "config": {"layers": [{}]}}',
    ],
)
def test_invalid_model_config_is_refused(tmp_path: Path, config: str) -> None:
    file, output = multi_level()
    path = file.write(tmp_path / "c.h5", output)
    with h5py.File(path, "a") as opened:
        opened.attrs["model_config"] = config
    with pytest.raises(ArtifactFormatError, match=r"model_config|RecursionError"):
        read_classifier(path)


@pytest.mark.parametrize("content", [b"", b"not hdf5" * 100, b"\x89HDF\r\n\x1a\n"])
def test_file_that_is_not_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.h5"
    path.write_bytes(content)
    with pytest.raises(ArtifactFormatError, match=r"c\.h5 is not a Keras HDF5 file"):
        read_classifier(path)


def test_hdf5_file_without_a_model_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(ArtifactFormatError, match=r"c\.h5 is not a Keras HDF5 file"):
        read_classifier(tmp_path / "c.h5")


def test_bytecode_in_the_file_is_not_executed(tmp_path: Path) -> None:
    """The Lambda's bytecode would create a file if it ran."""
    import base64
    import marshal

    trap = tmp_path / "executed"
    code = marshal.dumps(compile(f"open({str(trap)!r}, 'w')", "trap", "exec"))
    file, output = multi_level()
    for name in ("lambda_1", "lambda_2"):
        file.layer(name)["config"]["function"] = [base64.b64encode(code).decode(), None, None]
    read_classifier(file.write(tmp_path / "c.h5", output))
    assert not trap.exists()


def rename_layers(group: Any) -> None:
    group.attrs["layer_names"] = [1, 2]


def number_weights(group: Any) -> None:
    group["dense_1"].attrs["weight_names"] = [1]


def group_for_array(group: Any) -> None:
    del group["dense_1/dense_1/bias:0"]
    group.create_group("dense_1/dense_1/bias:0")


def scalar_kernel(group: Any) -> None:
    del group["dense_1/dense_1/kernel:0"]
    group["dense_1/dense_1/kernel:0"] = np.float32(1)


def empty_bias(group: Any) -> None:
    del group["dense_1/dense_1/bias:0"]
    group["dense_1/dense_1/bias:0"] = h5py.Empty("f")


@pytest.mark.parametrize(
    "damage", [rename_layers, number_weights, group_for_array, scalar_kernel, empty_bias]
)
def test_file_of_another_structure_is_refused(tmp_path: Path, damage: Callable[[Any], None]) -> None:
    file, output = multi_level()
    path = file.write(tmp_path / "c.h5", output)
    with h5py.File(path, "a") as opened:
        damage(opened["model_weights"])
    with pytest.raises(ArtifactFormatError):
        read_classifier(path)


def test_arrays_in_another_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["numbers"] = np.ones(16, np.float32)
    (tmp_path / "secret.bin").write_bytes(np.ones(16, np.float32).tobytes())
    for kind in ("link", "storage", "virtual"):
        model, output = multi_level()
        path = model.write(tmp_path / f"{kind}.h5", output)
        name = "model_weights/dense_1/dense_1/bias:0"
        with h5py.File(path, "a") as opened:
            del opened[name]
            if kind == "link":
                opened[name] = h5py.ExternalLink(str(secret), "numbers")
            elif kind == "storage":
                opened.create_dataset(name, (16,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 64)])
            else:
                layout = h5py.VirtualLayout((16,), "f4")
                layout[:] = h5py.VirtualSource(str(secret), "numbers", (16,))
                opened.create_virtual_dataset(name, layout)
        with pytest.raises(ArtifactFormatError, match="in another file"):
            read_classifier(path)


def test_damaged_file_is_read_or_raises_format_error(tmp_path: Path) -> None:
    """Bytes are changed at random in the whole file."""
    rng = np.random.default_rng(5)
    file, output = multi_level()
    path = file.write(tmp_path / "c.h5", output)
    content = path.read_bytes()
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_classifier(path)
        except ArtifactFormatError:
            refused += 1
    assert refused > 10
