"""The student as ``embedding.tflite``: BatchNorm folded in, built in TensorFlow, checked against PyTorch."""

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
from training.student import INPUT_MEAN, INPUT_SCALE, Student

CHECK_PATCHES: Final = 16
# Of the embeddings' range.  Weights of 16 bits take half the space, and no more time; what they change was
# measured as 0.05 % of the range.
TOLERANCE: Final = 1e-4
HALF_TOLERANCE: Final = 5e-3


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


def fold(layer: nn.Conv2d | nn.Linear, norm: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel, in PyTorch's order of axes, and bias of a layer with the BatchNorm behind it folded in."""
    weight, bias = layer.weight.detach().double(), layer.bias
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shifted = (0 if bias is None else bias.double()) - norm.running_mean.double()
    kernel = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
    return kernel.detach().float().numpy(), (shifted * scale + norm.bias.double()).detach().float().numpy()


def _convert(student: Student, *, half: bool) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.variables_held = []

    def held(array: NDArray[np.float32], *axes: int) -> Any:
        variable = tf.Variable(array.transpose(axes) if axes else array, trainable=False)
        module.variables_held.append(variable)
        return variable

    def convolution(layer: nn.Conv2d, norm: nn.Module) -> tuple[Any, Any]:
        kernel, bias = fold(layer, norm)
        axes = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
        return held(kernel, *axes), held(bias)

    stem = convolution(student.stem, student.stem_norm)
    blocks = [
        (
            convolution(block.depthwise, block.depthwise_norm),
            convolution(block.pointwise, block.pointwise_norm),
            block.depthwise.stride[0],
            block.shortcut,
        )
        for block in student.blocks
    ]
    kernel, bias = fold(student.bottleneck, student.bottleneck_norm)
    bottleneck = held(kernel, 1, 0), held(bias)

    def network(patches: Any) -> dict[str, Any]:
        x = tf.expand_dims((patches - INPUT_MEAN) * (1 / INPUT_SCALE), -1)
        x = tf.nn.relu(tf.nn.conv2d(_padded(tf, x, 2), stem[0], strides=2, padding="VALID") + stem[1])
        for (depthwise, depthwise_bias), (pointwise, pointwise_bias), stride, shortcut in blocks:
            strides = (1, stride, stride, 1)
            y = tf.nn.depthwise_conv2d(_padded(tf, x, 1), depthwise, strides, "VALID")
            y = tf.nn.relu(y + depthwise_bias)
            y = tf.nn.conv2d(y, pointwise, strides=1, padding="VALID") + pointwise_bias
            x = tf.nn.relu(y + x if shortcut else y)
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


def _padded(tf: Any, x: Any, pixels: int) -> Any:
    """Zeros on all four sides, as PyTorch pads; TensorFlow's own "SAME" pads fewer where it strides."""
    return tf.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))


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
