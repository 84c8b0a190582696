"""Export VGGish from TensorFlow to ``embedding.tflite``, and check the export against TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import LOG_OFFSET, MEL_BANDS, PATCH_FRAMES
from audio_classifier.convert.export_check import check_deviation
from audio_classifier.convert.max_artifacts import VGGISH_LAYERS, Weights
from audio_classifier.cpus import available_cpus
from audio_classifier.model.embedding import Embedder

Precision: TypeAlias = Literal["float32", "float16", "int8"]

# Accepted deviation from TensorFlow as a share of the embeddings' range, about four times the measured one
# (float16 0.05 %, int8 2.4 %), so that a broken export is refused and a correct one never is.
TOLERANCE: Final[dict[Precision, float]] = {"float32": 1e-5, "float16": 2e-3, "int8": 0.1}
CHECK_PATCHES: Final = 3


def export_embedding(weights: Weights, precision: Precision = "float32") -> bytes:
    """Build VGGish, from ``(n, 96, 64)`` float32 to ``(n, 128)`` float32, and export it to LiteRT.

    ReLU follows every layer, including the last one: IBM's ``vggish_slim.py`` keeps slim's default, and the
    PCA and the classifier were fitted to such embeddings.

    Parameters
    ----------
    weights
        Kernel and bias by layer; see `max_artifacts.read_checkpoint`.
    precision
        Number format of the weights: ``float32``, ``float16`` (half the size), or ``int8`` (a quarter of
        the size, by dynamic range quantization).

    Returns
    -------
    The content of a ``.tflite`` file, whose signature ``serving_default`` has the input ``patches`` and the
    output ``embedding``.

    Raises
    ------
    ConversionError
        If the exported model's results differ from TensorFlow's by more than `TOLERANCE`.
    """
    import tensorflow as tf

    module = tf.Module()
    # The converter reads variables once, but copies constants at every step, which takes 24 GB.
    module.layers = [
        tuple(tf.Variable(array, trainable=False) for array in weights[layer]) for layer in VGGISH_LAYERS
    ]
    variables = dict(zip(VGGISH_LAYERS, module.layers, strict=True))
    module.network = tf.function(
        lambda patches: {"embedding": _vggish(tf, variables, patches)},
        input_signature=[tf.TensorSpec((None, PATCH_FRAMES, MEL_BANDS), tf.float32, name="patches")],
    )
    network = module.network.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network], module)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    model = bytes(converter.convert())
    patches = _check_patches()
    _check(model, patches, network(tf.constant(patches))["embedding"].numpy(), precision)
    return model


def _vggish(tf: Any, weights: Mapping[str, Any], patches: Any) -> Any:
    """Apply the layers of ``vggish_slim.py``: groups of convolutions and max-pools, three dense layers."""
    x = tf.expand_dims(patches, -1)
    for group in (
        ("conv1",),
        ("conv2",),
        ("conv3/conv3_1", "conv3/conv3_2"),
        ("conv4/conv4_1", "conv4/conv4_2"),
    ):
        for layer in group:
            kernel, bias = weights[layer]
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + bias)
        x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding="SAME")
    x = tf.reshape(x, (-1, VGGISH_LAYERS["fc1/fc1_1"][0]))  # in (height, width, channel) order
    for layer in ("fc1/fc1_1", "fc1/fc1_2", "fc2"):
        kernel, bias = weights[layer]
        x = tf.nn.relu(tf.matmul(x, kernel) + bias)
    return x


def _check_patches() -> NDArray[np.float32]:
    """Return noise over the range of log-mel patches, from silence to full scale."""
    rng = np.random.default_rng(0)
    return rng.uniform(np.log(LOG_OFFSET), 4.0, (CHECK_PATCHES, PATCH_FRAMES, MEL_BANDS)).astype(np.float32)


def _check(
    model: bytes, patches: NDArray[np.float32], expected: NDArray[np.float32], precision: Precision
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "embedding.tflite")
        path.write_bytes(model)
        actual = Embedder(path, threads=available_cpus()).embed(patches)
    check_deviation(
        actual, expected, tolerance=TOLERANCE[precision], precision=precision, reference="TensorFlow"
    )
