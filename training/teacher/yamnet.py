"""YAMNet without its front end: log-mels in, logits and the pooled embedding out.

The published flatbuffer takes a waveform and quantises to 8 bits in its mel filters, where quiet bands are
lost, and before every convolution. Here its front end is removed, because `audio_classifier.audio.log_mel`
computes the same features except for the offset in the logarithm, and its 8-bit weights are expanded to
float32. This makes the labels more accurate at no cost (1.7 ms per patch and core).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier.assets import audioset_labels_path
from audio_classifier.constants import CLASSES, LOG_OFFSET, MEL_BANDS, PATCH_FRAMES
from audio_classifier.model.bundle import hash_file
from audio_classifier.model.labels import LabelSet

SHA256: Final = "687f226c147a2caab4706fbbab5e9cecb14b9a368264bf61108078b1fddf68f5"
ORIGIN: Final = "https://tfhub.dev/google/yamnet (Apache-2.0)"
TEACHER_CLASSES: Final = 521
HINT_SIZE: Final = 1024
TEACHER_LOG_OFFSET: Final = 0.001  # YAMNet `params.py`
BATCH_PATCHES: Final = 16  # larger batches exceed the cache and are slower

# AudioSet's classes that YAMNet was not trained on; YAMNet's classes are the others in the same order.
UNKNOWN_CLASSES: Final = (
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Battle cry",
    "Male singing",
    "Female singing",
    "Funny music",
)

# Tensor indices in the supported file: the output of the front end, the pooled embedding and the logits.
_LOG_MEL, _POOLED, _LOGITS = 84, 112, 113


class TeacherError(Exception):
    """The file is not the supported version of YAMNet."""


class Layer(NamedTuple):
    """Weights of a layer.

    Attributes
    ----------
    kernel
        ``(outputs, height, width, inputs)``, or ``(1, height, width, channels)`` if depthwise.
    bias
        ``(outputs,)`` or ``(channels,)``.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


class Teacher:
    """YAMNet on log-mels.

    Parameters
    ----------
    path
        ``yamnet.tflite``, whose SHA-256 must be `SHA256`.
    threads
        Number of threads per call.

    Raises
    ------
    TeacherError
        If the file has another SHA-256.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        model = without_front_end(_read(path))
        self._interpreter = Interpreter(model_content=model, num_threads=threads)
        self._allocate(BATCH_PATCHES)

    def __call__(self, log_mels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score patches.

        Parameters
        ----------
        log_mels
            ``(n, 96, 64)`` float32 with the teacher's log offset; see `teacher_log_mels`.

        Returns
        -------
        Logits ``(n, 521)`` and pooled embeddings ``(n, 1024)``, both float32.
        """
        logits = np.empty((len(log_mels), TEACHER_CLASSES), np.float32)
        hints = np.empty((len(log_mels), HINT_SIZE), np.float32)
        for start in range(0, len(log_mels), BATCH_PATCHES):
            batch = log_mels[start : start + BATCH_PATCHES]
            if len(batch) != self._patches:
                self._allocate(len(batch))
            self._interpreter.set_tensor(_LOG_MEL, batch[..., np.newaxis])
            self._interpreter.invoke()
            logits[start : start + len(batch)] = self._interpreter.get_tensor(_LOGITS)
            hints[start : start + len(batch)] = self._interpreter.get_tensor(_POOLED)
        return logits, hints

    def _allocate(self, patches: int) -> None:
        self._interpreter.resize_tensor_input(_LOG_MEL, (patches, PATCH_FRAMES, MEL_BANDS, 1))
        self._interpreter.allocate_tensors()
        self._patches = patches


def read_layers(path: Path) -> list[Layer]:
    """Read the teacher's weights: the stem, the two convolutions of each block, and the class layer.

    Raises
    ------
    TeacherError
        If the file has another SHA-256.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(without_front_end(_read(path)), 0))
    (graph,) = model.subgraphs

    def array(index: int) -> NDArray[np.float32]:
        tensor = graph.tensors[index]
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32)
        return values.reshape(tensor.shape)

    weights = (operator.inputs[1:] for operator in graph.operators if len(operator.inputs) == 3)
    return [Layer(array(kernel), array(bias)) for kernel, bias in weights]


def teacher_log_mels(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert ``log(mel + 0.01)`` to the teacher's ``log(mel + 0.001)``, to within 1e-3 even for silence."""
    mel = np.maximum(np.exp(patches) - np.float32(LOG_OFFSET), 0)
    return np.asarray(np.log(mel + np.float32(TEACHER_LOG_OFFSET)), np.float32)


@cache
def known_classes() -> NDArray[np.intp]:
    """Return the indices of the teacher's classes among AudioSet's 527: ``(521,)``, ascending."""
    return np.setdiff1d(np.arange(CLASSES), unknown_classes())


@cache
def unknown_classes() -> NDArray[np.intp]:
    """Return the indices of `UNKNOWN_CLASSES`, ascending."""
    labels = LabelSet.read(audioset_labels_path())
    return np.array(sorted(labels.find(name).index for name in UNKNOWN_CLASSES), np.intp)


def teacher_classes() -> list[str]:
    """Return the names of the teacher's classes, in its order."""
    labels = LabelSet.read(audioset_labels_path())
    return [labels[index].name for index in known_classes()]


def as_audioset(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spread ``(..., 521)`` probabilities over AudioSet's ``(..., 527)``; unknown classes are zero."""
    spread = np.zeros((*scores.shape[:-1], CLASSES), np.float32)
    spread[..., known_classes()] = scores
    return spread


def without_front_end(model: bytes) -> bytes:
    """Cut the flatbuffer to the part from the log-mels to the logits and the pooled embedding, in float32."""
    unpacked = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    (graph,) = unpacked.subgraphs
    kept = [operator for operator in graph.operators if _LOG_MEL < operator.outputs[0] <= _LOGITS]
    for operator in kept:
        for index in operator.inputs[1:]:
            _expand(graph.tensors[index], unpacked.buffers)
    graph.operators = kept
    graph.inputs, graph.outputs = np.array([_LOG_MEL], np.int32), np.array([_LOGITS, _POOLED], np.int32)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read(path: Path) -> bytes:
    if (actual := hash_file(path, "sha256")) != SHA256:
        raise TeacherError(f"{path} is not the supported YAMNet: expected SHA-256 {SHA256}, got {actual}")
    return path.read_bytes()


def _expand(tensor: Any, buffers: list[Any]) -> None:
    """Expand 8-bit weights, with one scale for all or one per output, to float32."""
    if tensor.type != schema.TensorType.INT8:
        return
    scale = np.asarray(tensor.quantization.scale, np.float32)
    axis_shape = [1] * len(tensor.shape)
    axis_shape[tensor.quantization.quantizedDimension] = -1
    codes = np.asarray(buffers[tensor.buffer].data).view(np.int8).reshape(tensor.shape)
    weights = codes.astype(np.float32) * scale.reshape(axis_shape)
    buffers[tensor.buffer].data = np.frombuffer(weights.tobytes(), np.uint8)
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
