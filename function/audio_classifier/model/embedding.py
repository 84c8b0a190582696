"""The embedding network, run by LiteRT: from each log-mel patch to 128 numbers."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, EMBEDDING_SIZE, MEL_BANDS, PATCH_FRAMES
from audio_classifier.errors import BundleInvalidError, InvalidParameterError
from audio_classifier.model.mapped_memory import release_files

SIGNATURE: Final = [f"float32 (-1, {PATCH_FRAMES}, {MEL_BANDS})", f"float32 (-1, {EMBEDDING_SIZE})"]


class Embedder:
    """A LiteRT model from ``(n, 96, 64)`` float32 patches to ``(n, 128)`` float32 embeddings, for any ``n``.

    All threads share one interpreter, which runs one call at a time.  It uses all CPUs that it is given, so
    a second interpreter would only double the memory.

    Parameters
    ----------
    model
        The ``.tflite`` file; it is mapped into memory while its weights are packed.
    threads
        Number of CPUs that one invocation uses, at least 1.

    Raises
    ------
    BundleInvalidError
        If the file is not a model of these shapes.
    InvalidParameterError
        If ``threads`` is less than 1.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        if threads < 1:
            raise InvalidParameterError("threads", f"must be at least 1, got {threads}")
        self._lock = threading.Lock()
        try:
            self._interpreter = Interpreter(model_path=str(model), num_threads=threads)
            tensors = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
            signature = [
                f"{np.dtype(tensor['dtype'])} {tuple(map(int, tensor['shape_signature']))}"
                for tensor in tensors
            ]
            if signature != SIGNATURE:
                raise BundleInvalidError(f"{model.name}: expected tensors {SIGNATURE}, got {signature}")
            self._input, self._output = (int(tensor["index"]) for tensor in tensors)
            # This packs the weights, so that the first prediction does not wait for it.
            self._allocate(CLIP_PATCHES)
        except (ValueError, RuntimeError) as error:
            raise BundleInvalidError(f"{model.name} is not a LiteRT model: {error}") from error
        release_files(self._constants())  # the weights were copied; for VGGish this halves the memory

    def embed(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed ``(n >= 1, 96, 64)`` float32 patches in one invocation, as ``(n, 128)`` float32."""
        with self._lock:
            if len(patches) != self._patches:
                self._allocate(len(patches))
            self._interpreter.set_tensor(self._input, patches)
            self._interpreter.invoke()
            return np.asarray(self._interpreter.get_tensor(self._output))

    def _constants(self) -> set[int]:
        """Return the addresses of the tensors, those in the mapped file and others."""
        addresses = set()
        for tensor in self._interpreter.get_tensor_details():
            with suppress(ValueError):  # tensors that the delegate does not expose
                view = self._interpreter.tensor(tensor["index"])()
                addresses.add(int(view.__array_interface__["data"][0]))
        return addresses

    def _allocate(self, patches: int) -> None:
        self._patches = 0  # in case one of these calls fails
        self._interpreter.resize_tensor_input(self._input, (patches, PATCH_FRAMES, MEL_BANDS))
        self._interpreter.allocate_tensors()
        self._patches = patches
