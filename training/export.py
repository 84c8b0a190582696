"""The student as ``embedding.tflite``: built in TensorFlow, checked against PyTorch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audio_classifier.embedding import Embedder
from audio_classifier.params import LOG_OFFSET, MEL_BANDS, PATCH_FRAMES
from training.student import STRIDES, Student
from training.teacher import TEACHER_LOG_OFFSET

CHECK_PATCHES: Final = 16
# Of the embeddings' range.  Weights of 16 bits take half the space, and no more time; they change what a full
# network computes by 0.2 %, and by some percent what a tiny one of a quick run does.
TOLERANCE: Final = 1e-4
HALF_TOLERANCE: Final = 0.1


class ExportError(Exception):
    """The exported network does not compute what was trained."""


def export_embedding(student: Student, *, half: bool = True) -> bytes:
    """Export to LiteRT, ``patches`` ``(n, 96, 64)`` -> ``embedding`` ``(n, 128)``, with ``n`` free.

    Parameters
    ----------
    student
        As it is used; see `train_embedding.load_student`.
    half
        Store weights as float16; they are computed with as float32.

    Raises
    ------
    ExportError
        If it does not compute what PyTorch does.
    """
    patches = _check_patches()
    with torch.inference_mode():
        log_mels = torch.from_numpy(patches)
        expected = student.eval().embed(student.pool(log_mels)).numpy()
    full = _convert(student, half=False)
    _check(full, patches, expected, TOLERANCE)
    if not half:
        return full
    smaller = _convert(student, half=True)
    _check(smaller, patches, expected, HALF_TOLERANCE)
    return smaller


def _convert(student: Student, *, half: bool) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.variables_held = []

    def held(array: NDArray[np.float32], *axes: int) -> Any:
        variable = tf.Variable(array.transpose(axes) if axes else array, trainable=False)
        module.variables_held.append(variable)
        return variable

    def weights(layer: nn.Conv2d | nn.Linear, *axes: int) -> tuple[Any, Any]:
        return held(layer.weight.detach().numpy(), *axes), held(layer.bias.detach().numpy())

    stem = weights(student.trunk.stem, 2, 3, 1, 0)
    blocks = [
        (weights(block.depthwise, 2, 3, 0, 1), weights(block.pointwise, 2, 3, 1, 0), block.depthwise.stride)
        for block in student.trunk.blocks
    ]
    bottleneck = weights(student.bottleneck, 1, 0)

    def network(patches: Any) -> dict[str, Any]:
        mel = tf.maximum(tf.exp(patches) - LOG_OFFSET, 0)
        x = tf.expand_dims(tf.math.log(mel + TEACHER_LOG_OFFSET), -1)
        x = tf.nn.relu(tf.nn.conv2d(x, stem[0], STRIDES[0], "SAME") + stem[1])
        for (depthwise, depthwise_bias), (pointwise, pointwise_bias), strides in blocks:
            y = tf.nn.depthwise_conv2d(x, depthwise, (1, *strides, 1), "SAME")
            x = tf.nn.relu(y + depthwise_bias)
            x = tf.nn.relu(tf.nn.conv2d(x, pointwise, 1, "SAME") + pointwise_bias)
        pooled = tf.reduce_mean(x, (1, 2))
        return {"embedding": tf.nn.relu(tf.matmul(pooled, bottleneck[0]) + bottleneck[1])}

    signature = [tf.TensorSpec((None, PATCH_FRAMES, MEL_BANDS), tf.float32, name="patches")]
    module.network = tf.function(network, input_signature=signature)
    function = module.network.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def _check_patches() -> NDArray[np.float32]:
    """Noise over the range that log-mel patches have, from silence to full scale."""
    rng = np.random.default_rng(0)
    shape = (CHECK_PATCHES, PATCH_FRAMES, MEL_BANDS)
    return rng.uniform(np.log(LOG_OFFSET), 4.0, shape).astype(np.float32)


def _check(
    model: bytes, patches: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "embedding.tflite")
        path.write_bytes(model)
        embedder = Embedder(path, threads=1)
        # Two lengths: the batch must be free.
        actual = np.concatenate([embedder.embed(patches[:1]), embedder.embed(patches[1:])])
    error = float(np.abs(actual - expected).max()) / max(float(np.ptp(expected)), 1e-9)
    if not error <= tolerance:
        raise ExportError(f"the export is off by {error:.2e} of the embeddings' range, above {tolerance:.0e}")
