"""The embedding network, run by LiteRT: log-mel patches -> 128 numbers each."""

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
    """A LiteRT model ``(n, 96, 64) float32 -> (n, 128) float32`` with ``n`` free.

    One interpreter serves all threads, one at a time: it uses all the CPUs it is given, so a second beside
    it would only double the memory.

    Parameters
    ----------
    model
        The ``.tflite`` file; it is mapped into memory while its weights are packed.
    threads
        How many CPUs one invocation uses, at least 1.

    Raises
    ------
    BundleInvalidError
        If the file is no model of that shape.
    InvalidParameterError
        If ``threads`` is less than 1.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        if threads < 1:
            raise InvalidParameterError("threads", f"{threads} CPUs cannot do anything")
        self._lock = threading.Lock()
        try:
            self._interpreter = Interpreter(model_path=str(model), num_threads=threads)
            tensors = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
            signature = [
                f"{np.dtype(tensor['dtype'])} {tuple(map(int, tensor['shape_signature']))}"
                for tensor in tensors
            ]
            if signature != SIGNATURE:
                raise BundleInvalidError(f"{model.name} has tensors {signature}, where {SIGNATURE} belong")
            self._input, self._output = (int(tensor["index"]) for tensor in tensors)
            # This packs the weights: here, so that the first sound need not wait for it.
            self._allocate(CLIP_PATCHES)
        except (ValueError, RuntimeError) as error:
            raise BundleInvalidError(f"{model.name} is no LiteRT model: {error}") from error
        release_files(self._constants())  # they were copied: of VGGish's memory the half

    def embed(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed ``(n >= 1, 96, 64)`` float32 patches in one invocation, as ``(n, 128)`` float32."""
        with self._lock:
            if len(patches) != self._patches:
                self._allocate(len(patches))
            self._interpreter.set_tensor(self._input, patches)
            self._interpreter.invoke()
            return np.asarray(self._interpreter.get_tensor(self._output))

    def _constants(self) -> set[int]:
        """Where the mapped file's tensors are in memory; and others, which are in no file."""
        addresses = set()
        for tensor in self._interpreter.get_tensor_details():
            with suppress(ValueError):  # what the delegate keeps to itself
                view = self._interpreter.tensor(tensor["index"])()
                addresses.add(int(view.__array_interface__["data"][0]))
        return addresses

    def _allocate(self, patches: int) -> None:
        self._patches = 0  # should one of these fail
        self._interpreter.resize_tensor_input(self._input, (patches, PATCH_FRAMES, MEL_BANDS))
        self._interpreter.allocate_tensors()
        self._patches = patches
