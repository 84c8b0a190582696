"""The embedding network, run by LiteRT: log-mel patches -> 128 numbers each."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError
from audio_classifier.params import CLIP_PATCHES, EMBEDDING_SIZE, MEL_BANDS, PATCH_FRAMES


class Embedder:
    """A LiteRT model ``(n, 96, 64) float32 -> (n, 128) float32`` with ``n`` free.

    One interpreter serves all threads, one at a time: it uses all the CPUs it is given, so a second beside
    it would only double the memory.

    Parameters
    ----------
    model
        The ``.tflite`` file; it is mapped into memory, not copied.
    threads
        How many CPUs one invocation uses.

    Raises
    ------
    BundleInvalidError
        If the file is no model of that shape.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        try:
            self._interpreter = Interpreter(model_path=str(model), num_threads=threads)
        except (ValueError, RuntimeError) as error:
            raise BundleInvalidError(f"{model.name} is no LiteRT model: {error}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shapes = [tuple(int(size) for size in tensor["shape_signature"]) for tensor in (*inputs, *outputs)]
        if shapes != [(-1, PATCH_FRAMES, MEL_BANDS), (-1, EMBEDDING_SIZE)]:
            raise BundleInvalidError(
                f"{model.name} has tensors of shapes {shapes}, not (n, 96, 64) and (n, 128)"
            )
        self._input, self._output = int(inputs[0]["index"]), int(outputs[0]["index"])
        self._lock = threading.Lock()
        self._allocate(CLIP_PATCHES)  # packs the weights: here, so that the first sound need not wait for it

    def embed(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed ``(n >= 1, 96, 64)`` float32 patches in one invocation, as ``(n, 128)`` float32."""
        with self._lock:
            if len(patches) != self._patches:
                self._allocate(len(patches))
            self._interpreter.set_tensor(self._input, patches)
            self._interpreter.invoke()
            return np.asarray(self._interpreter.get_tensor(self._output))

    def _allocate(self, patches: int) -> None:
        self._interpreter.resize_tensor_input(self._input, (patches, PATCH_FRAMES, MEL_BANDS))
        self._interpreter.allocate_tensors()
        self._patches = patches
