"""Networks in LiteRT's format, run by its interpreter."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError, InvalidParameterError
from audio_classifier.model.mapped_memory import release_files

_log = logging.getLogger(__name__)


class LiteRtModel:
    """A LiteRT model with one float32 input and one float32 output, whose free dimensions may change.

    All threads share one interpreter, which runs one call at a time.  It uses all CPUs that it is given, so
    a second interpreter would only double the memory.

    A warning is logged if LiteRT does not compute the model with XNNPACK, whose results alone are the same on
    all CPUs.

    Parameters
    ----------
    path
        The ``.tflite`` file; it is mapped into memory while its weights are packed.
    signature
        The shapes of the input and the output, with -1 for free dimensions.
    first_shape
        The shape of the input for which the model is prepared, so that the first call does not wait for it.
    threads
        Number of CPUs that one invocation uses, at least 1.

    Raises
    ------
    BundleInvalidError
        If the file is not a model of these shapes.
    InvalidParameterError
        If ``threads`` is less than 1.
    """

    def __init__(
        self,
        path: Path,
        signature: Sequence[tuple[int, ...]],
        first_shape: tuple[int, ...],
        *,
        threads: int,
    ) -> None:
        if threads < 1:
            raise InvalidParameterError("threads", f"must be at least 1, got {threads}")
        self._lock = threading.Lock()
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            tensors = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
            found = [
                f"{np.dtype(tensor['dtype'])} {tuple(map(int, tensor['shape_signature']))}"
                for tensor in tensors
            ]
            expected = [f"float32 {shape}" for shape in signature]
            if found != expected:
                raise BundleInvalidError(f"{path.name}: expected tensors {expected}, got {found}")
            self._input, self._output = (int(tensor["index"]) for tensor in tensors)
            self._allocate(first_shape)  # this packs the weights
        except (ValueError, RuntimeError) as error:
            raise BundleInvalidError(f"{path.name} is not a LiteRT model: {error}") from error
        release_files(self._constants())  # the weights were copied; for VGGish this halves the memory
        if not self._uses_xnnpack():
            _log.warning(
                "This CPU or build of LiteRT computes %s without XNNPACK, with other kernels: probabilities"
                " of 8-bit networks can differ by up to 0.2 from those documented",
                path.name,
            )

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the model once."""
        with self._lock:
            if inputs.shape != self._shape:
                self._allocate(inputs.shape)
            self._interpreter.set_tensor(self._input, inputs)
            self._interpreter.invoke()
            return np.asarray(self._interpreter.get_tensor(self._output))

    def _uses_xnnpack(self) -> bool:
        """Return whether a delegate computes the model; LiteRT applies only XNNPACK by default.

        The nodes are read from the native interpreter, because LiteRT's public methods do not state them.
        """
        native = self._interpreter._interpreter
        return any(native.NodeName(index) == "DELEGATE" for index in range(native.NumNodes()))

    def _constants(self) -> set[int]:
        """Return the addresses of the tensors, those in the mapped file and others."""
        addresses = set()
        for tensor in self._interpreter.get_tensor_details():
            with suppress(ValueError):  # tensors that the delegate does not expose
                view = self._interpreter.tensor(tensor["index"])()
                addresses.add(int(view.__array_interface__["data"][0]))
        return addresses

    def _allocate(self, shape: tuple[int, ...]) -> None:
        self._shape: tuple[int, ...] = ()  # in case one of these calls fails
        self._interpreter.resize_tensor_input(self._input, shape)
        self._interpreter.allocate_tensors()
        self._shape = shape
