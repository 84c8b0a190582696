"""The student as ``embedding.tflite``: built in TensorFlow, checked against PyTorch.

Its convolutions are computed in 8 bits.  What comes before and behind them, logarithm and bottleneck, stays
in float32: it takes no time.
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
# Of how far embeddings lie apart.  LiteRT rounds sums where PyTorch rounds floats: what lies between two
# steps may come down on the other side, and so may what is made of it.
TOLERANCE: Final = 0.5


class ExportError(Exception):
    """The exported network does not compute what was trained."""


def export_embedding(student: Student) -> bytes:
    """Export to LiteRT, ``patches`` ``(n, 96, 64)`` -> ``embedding`` ``(n, 128)``, with ``n`` free.

    Parameters
    ----------
    student
        As it is used, rounding; see `train_embedding.load_student`.

    Raises
    ------
    ExportError
        If it does not compute what PyTorch does.
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
    """Patches that differ as sounds do, in loudness, over time and over bands, from silence to full scale."""
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
        # Two lengths: the batch must be free.
        actual = np.concatenate([embedder.embed(patches[:1]), embedder.embed(patches[1:])])
    spread = float(np.linalg.norm(expected - expected.mean(axis=0)))
    error = float(np.linalg.norm(actual - expected)) / max(spread, 1e-9)
    if not error <= TOLERANCE:
        raise ExportError(
            f"the export is off by {error:.2e} of the embeddings' spread, above {TOLERANCE:.0e}"
        )
