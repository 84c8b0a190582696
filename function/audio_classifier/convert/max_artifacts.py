"""Read the arrays of IBM's published artifacts without executing anything in them, such as pickles."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import ArtifactFormatError, BundleInvalidError
from audio_classifier.model.bundle import load_arrays
from audio_classifier.model.postprocess import Postprocessor

Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Kernel and bias of each layer of VGGish, by the layer's name."""

# tensorflow/models, research/audioset/vggish/vggish_slim.py; 72,141,184 parameters
VGGISH_LAYERS: Final = {
    "conv1": (3, 3, 1, 64),
    "conv2": (3, 3, 64, 128),
    "conv3/conv3_1": (3, 3, 128, 256),
    "conv3/conv3_2": (3, 3, 256, 256),
    "conv4/conv4_1": (3, 3, 256, 512),
    "conv4/conv4_2": (3, 3, 512, 512),
    "fc1/fc1_1": (12288, 4096),
    "fc1/fc1_2": (4096, 4096),
    "fc2": (4096, 128),
}


def read_checkpoint(path: Path) -> Weights:
    """Read VGGish's weights from ``vggish_model.ckpt``, a TensorFlow V1 single-file checkpoint.

    Raises
    ------
    ArtifactFormatError
        If it is not a checkpoint, or a variable is missing, of another shape, not float32 or not finite.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides startup messages
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        # TensorFlow treats the path as a prefix, and might read files other than the verified one.
        link = Path(folder, "checkpoint")
        link.symlink_to(path.resolve())
        return _read_variables(tf, link, path.name)


def _read_variables(tf: Any, path: Path, file: str) -> Weights:
    try:
        reader = tf.train.load_checkpoint(str(path))
        shapes = reader.get_variable_to_shape_map()
    except (ValueError, tf.errors.OpError) as error:
        raise ArtifactFormatError(f"{file} is not a TensorFlow checkpoint: {error}") from error

    def variable(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if name not in shapes:
            raise ArtifactFormatError(f"{file} lacks the variable {name}")
        if tuple(shapes[name]) != shape:
            raise ArtifactFormatError(
                f"{file}: {name} must have the shape {shape}, got {tuple(shapes[name])}"
            )
        try:
            value = np.asarray(reader.get_tensor(name))
        except (ValueError, tf.errors.OpError) as error:
            raise ArtifactFormatError(f"{file}: {name} cannot be read: {error}") from error
        if value.dtype != np.float32 or not np.isfinite(value).all():
            raise ArtifactFormatError(f"{file}: {name} must contain only finite float32 numbers")
        return value

    return {
        layer: (variable(f"vggish/{layer}/weights", shape), variable(f"vggish/{layer}/biases", shape[-1:]))
        for layer, shape in VGGISH_LAYERS.items()
    }


def read_pca(path: Path) -> Postprocessor:
    """Read the PCA from ``vggish_pca_params.npz``.

    Raises
    ------
    ArtifactFormatError
        If it is not an archive of plain arrays, or an array is missing, of another shape or not finite.
    """
    try:
        return Postprocessor.from_arrays(load_arrays(path))
    except BundleInvalidError as error:
        message = str(error)
        raise ArtifactFormatError(message if path.name in message else f"{path.name}: {message}") from error
