"""Export the student as ``embedding.tflite``: rebuild it in TensorFlow, and check the result against PyTorch.

The convolutions are computed in 8 bits. The logarithm before them and the bottleneck after them stay in
float32, because they take hardly any time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from audio_classifier.constants import LOG_OFFSET, MEL_BANDS, PATCH_FRAMES
from audio_classifier.model.embedding import Embedder
from training.student.network import Student
from training.student.rounding import Rounding
from training.teacher.yamnet import TEACHER_LOG_OFFSET

CHECK_PATCHES: Final = 16
# Relative to the spread of the embeddings. LiteRT rounds integer sums and PyTorch rounds floats, so values
# between two steps may be rounded differently, and the differences propagate.
TOLERANCE: Final = 0.5


class ExportError(Exception):
    """The exported network does not compute the same embeddings as the trained one."""


def export_embedding(student: Student) -> bytes:
    """Export to LiteRT, from ``patches`` ``(n, 96, 64)`` to ``embedding`` ``(n, 128)``, with variable ``n``.

    Parameters
    ----------
    student
        A student that rounds; see `train_embedding.load_student`.

    Raises
    ------
    ExportError
        If the exported network does not compute the same embeddings as PyTorch.
    """
    patches = _check_patches()
    with torch.inference_mode():
        log_mels = torch.from_numpy(patches)
        expected = student.eval().embed(student.pool(log_mels)).numpy()
    model = _convert(student)
    _check(model, patches, expected)
    return model


def _convert(student: Student) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.variables_held = []

    def held(values: torch.Tensor, *axes: int) -> Any:
        array = values.detach().numpy()
        variable = tf.Variable(array.transpose(axes) if axes else array, trainable=False)
        module.variables_held.append(variable)
        return variable

    trunk = student.trunk
    bottleneck = held(student.bottleneck.weight, 1, 0), held(student.bottleneck.bias)
    layers = [
        (held(layer.weight, 2, 3, *((0, 1) if layer.groups > 1 else (1, 0))), held(layer.bias), layer)
        for layer in trunk.layers
    ]

    def round_maps(x: Any, rounding: Rounding) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(
            x, min=rounding.lower, max=float(rounding.limit), num_bits=8
        )

    def network(patches: Any) -> dict[str, Any]:
        mel = tf.maximum(tf.exp(patches) - LOG_OFFSET, 0)
        x = round_maps(tf.expand_dims(tf.math.log(mel + TEACHER_LOG_OFFSET), -1), trunk.rounding)
        for kernel, bias, layer in layers:
            convolve = tf.nn.depthwise_conv2d if layer.groups > 1 else tf.nn.conv2d
            x = convolve(x, kernel, (1, *layer.stride, 1), "SAME")
            x = round_maps(tf.nn.relu(x + bias), layer.rounding)
        pooled = tf.reduce_mean(x, (1, 2))
        return {"embedding": tf.nn.relu(tf.matmul(pooled, bottleneck[0]) + bottleneck[1])}

    signature = [tf.TensorSpec((None, PATCH_FRAMES, MEL_BANDS), tf.float32, name="patches")]
    module.network = tf.function(network, input_signature=signature)
    function = module.network.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(converter.convert())


def _check_patches() -> NDArray[np.float32]:
    """Make patches that vary in loudness, over time and over bands, from silence to full scale."""
    rng = np.random.default_rng(0)
    level = rng.uniform(np.log(LOG_OFFSET), 4.0, (CHECK_PATCHES, 1, 1))
    frames = rng.normal(0, 2, (CHECK_PATCHES, PATCH_FRAMES, 1))
    bands = rng.normal(0, 2, (CHECK_PATCHES, 1, MEL_BANDS))
    return np.clip(level + frames + bands, np.log(LOG_OFFSET), 4.0).astype(np.float32)


def _check(model: bytes, patches: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "embedding.tflite")
        path.write_bytes(model)
        embedder = Embedder(path, threads=1)
        # Two batch sizes, because the batch size must be variable.
        actual = np.concatenate([embedder.embed(patches[:1]), embedder.embed(patches[1:])])
    spread = float(np.linalg.norm(expected - expected.mean(axis=0)))
    error = float(np.linalg.norm(actual - expected)) / max(spread, 1e-9)
    if not error <= TOLERANCE:
        raise ExportError(
            f"the export must match PyTorch to within {TOLERANCE} of the embeddings' spread, got {error:.2e}"
        )
