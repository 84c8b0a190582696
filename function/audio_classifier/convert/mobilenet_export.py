"""Export an EfficientAT network to LiteRT, and check the export against numpy."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier.convert.export_check import check_deviation
from audio_classifier.convert.litert_layers import Activation, LayerWriter
from audio_classifier.convert.litert_writer import FREE
from audio_classifier.convert.mobilenet import (
    MEL_BANDS,
    Convolution,
    Network,
    SqueezeExcitation,
    State,
    fold,
)
from audio_classifier.convert.mobilenet_reference import forward
from audio_classifier.cpus import available_cpus

Precision: TypeAlias = Literal["float32", "float16"]

# Accepted deviation from numpy as a share of the logits' range, many times the measured one, so that
# a broken export is refused and a correct one never is.
TOLERANCE: Final[dict[Precision, float]] = {"float32": 1e-4, "float16": 2e-2}
CHECK_SHAPE: Final = (2, 37, MEL_BANDS)  # two, and odd, so that no free dimension is mistaken for a fixed one


def export_network(state: State, net: Network, precision: Precision = "float32") -> bytes:
    """Export a network from ``(n, frames, 128)`` log-mels to ``(n, 527)`` logits, both float32.

    ``n`` and ``frames`` are free.  Padding is explicit where the stride is 2, because LiteRT's ``SAME`` pads
    even sizes on one side only, unlike PyTorch.

    Parameters
    ----------
    state
        The tensors; see `mobilenet.check_state`.
    precision
        Number format of the weights: ``float32``, or ``float16`` (half the size); biases are float32.

    Returns
    -------
    The content of a ``.tflite`` file, whose signature ``serving_default`` has the input ``log_mel`` and the
    output ``logits``.

    Raises
    ------
    ConversionError
        If its results differ from those of `mobilenet_reference.forward` by more than `TOLERANCE`.
    """
    log_mels = np.random.default_rng(0).standard_normal(CHECK_SHAPE, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # the check refuses weights that are too large
        model = _Exporter(state, precision).export(net)
        check_deviation(
            run_network(model, log_mels),
            forward(state, net, log_mels),
            tolerance=TOLERANCE[precision],
            precision=precision,
            reference="numpy",
        )
    return model


def run_network(model: bytes, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an exported network in LiteRT, from ``(n, frames, 128)`` to ``(n, 527)``."""
    interpreter = Interpreter(model_content=model, num_threads=available_cpus())
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(source, log_mels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, log_mels)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(result))


class _Exporter:
    """Write a network; tensors are ``(n, frames, bands, channels)``."""

    def __init__(self, state: State, precision: Precision) -> None:
        self._state = state
        self._writer = LayerWriter(half=precision == "float16")

    def export(self, net: Network) -> bytes:
        source = self._writer.tensor((FREE, FREE, MEL_BANDS), "log_mel")
        x = self._writer.expand_dims(source, "channel")
        for block in net.blocks:
            start = x
            for layer in block.layers:
                if isinstance(layer, SqueezeExcitation):
                    x = self._squeeze_excitation(layer, x)
                else:
                    x = self._convolution(layer, x)
            if block.is_residual:
                x = self._writer.add(x, start, f"{block.layers[-1].name}/sum")
        x = self._writer.mean(x, "features", keep=False)
        x = self._writer.linear(x, *self._linear(net.hidden.name), "hidden", activation="hard_swish")
        return self._writer.finish(source, self._writer.linear(x, *self._linear(net.output.name), "logits"))

    def _convolution(self, layer: Convolution, x: int) -> int:
        kernel, bias = fold(self._state, layer)
        write = self._writer.depthwise if layer.is_depthwise else self._writer.convolution
        # PyTorch's kernels are (outputs, inputs, bands, frames).
        kernel = kernel.swapaxes(2, 3)
        return write(x, kernel, bias, layer.name, stride=layer.stride, activation=layer.activation)

    def _squeeze_excitation(self, layer: SqueezeExcitation, x: int) -> int:
        """Write the linear layers as convolutions, which keep the dimensions for the product."""
        mean = self._writer.mean(x, f"{layer.name}/mean", keep=True)
        squeezed = self._pointwise(mean, f"{layer.name}.fc1", "relu")
        factors = self._pointwise(squeezed, f"{layer.name}.fc2", "sigmoid")
        return self._writer.multiply(x, factors, f"{layer.name}/scaled")

    def _pointwise(self, x: int, name: str, activation: Activation) -> int:
        weights, bias = self._linear(name)
        return self._writer.convolution(x, weights[:, :, None, None], bias, name, activation=activation)

    def _linear(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weights, bias = (self._state[f"{name}.{field}"] for field in ("weight", "bias"))
        return weights.astype(np.float32), bias.astype(np.float32)
