"""Write the layers of convolutional networks as LiteRT operators, in float32 or with float16 weights.

Tensors are ``(n, height, width, channels)``; kernels and weights are in PyTorch's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from audio_classifier.convert.litert_writer import FREE, GraphWriter

Activation: TypeAlias = Literal["none", "relu", "hard_swish", "sigmoid"]
Array: TypeAlias = NDArray[np.float32]

_CODES = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions


class LayerWriter(GraphWriter):
    """A graph of layers; each method adds one, and returns its output.

    Parameters
    ----------
    half
        Whether weights are stored as float16 and expanded when the model is loaded; biases never are.
    """

    def __init__(self, *, half: bool) -> None:
        super().__init__()
        self._half = half

    def expand_dims(self, x: int, name: str) -> int:
        """Add a last dimension of one."""
        axis = self.constant(np.array(-1, np.int32), f"{name}/axis")
        options = schema.ExpandDimsOptionsT(), _OPTIONS.ExpandDimsOptions
        return self.operator(_CODES.EXPAND_DIMS, [x, axis], (*self.shape(x), 1), name, *options)

    def convolution(
        self,
        x: int,
        kernel: Array,
        bias: Array,
        name: str,
        *,
        stride: int = 1,
        activation: Activation = "none",
    ) -> int:
        """Add a convolution with a kernel ``(outputs, inputs, height, width)``, padded by half of it."""
        options = schema.Conv2DOptionsT()
        x = self._set_padding(x, kernel.shape[2], stride, options, name)
        weights = self._weights(kernel.transpose(0, 2, 3, 1), f"{name}/kernel")
        code = _CODES.CONV_2D, _OPTIONS.Conv2DOptions
        return self._convolve(code, x, weights, bias, options, name, activation)

    def depthwise(
        self,
        x: int,
        kernel: Array,
        bias: Array,
        name: str,
        *,
        stride: int = 1,
        activation: Activation = "none",
    ) -> int:
        """Add a convolution of each channel, with a kernel ``(channels, 1, height, width)``."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        x = self._set_padding(x, kernel.shape[2], stride, options, name)
        weights = self._weights(kernel.transpose(1, 2, 3, 0), f"{name}/kernel")
        code = _CODES.DEPTHWISE_CONV_2D, _OPTIONS.DepthwiseConv2DOptions
        return self._convolve(code, x, weights, bias, options, name, activation)

    def linear(
        self, x: int, weights: Array, bias: Array, name: str, *, activation: Activation = "none"
    ) -> int:
        """Add a linear layer with weights ``(outputs, inputs)`` to ``(n, inputs)``."""
        inputs = [x, self._weights(weights, f"{name}/weights"), self.constant(bias, f"{name}/bias")]
        return self._activated(
            (_CODES.FULLY_CONNECTED, _OPTIONS.FullyConnectedOptions),
            inputs,
            (FREE, len(bias)),
            schema.FullyConnectedOptionsT(),
            name,
            activation,
        )

    def mean(self, x: int, name: str, *, keep: bool) -> int:
        """Average over height and width, which become one if kept, and vanish otherwise."""
        axes = self.constant(np.array([1, 2], np.int32), f"{name}/axes")
        options = schema.ReducerOptionsT()
        options.keepDims = keep
        count, _, _, channels = self.shape(x)
        shape = (count, 1, 1, channels) if keep else (count, channels)
        return self.operator(_CODES.MEAN, [x, axes], shape, name, options, _OPTIONS.ReducerOptions)

    def add(self, x: int, y: int, name: str) -> int:
        """Add two tensors of the same shape."""
        options = schema.AddOptionsT(), _OPTIONS.AddOptions
        return self.operator(_CODES.ADD, [x, y], self.shape(x), name, *options)

    def multiply(self, x: int, factors: int, name: str) -> int:
        """Multiply by factors, which are broadcast."""
        options = schema.MulOptionsT(), _OPTIONS.MulOptions
        return self.operator(_CODES.MUL, [x, factors], self.shape(x), name, *options)

    def _weights(self, values: Array, name: str) -> int:
        if not self._half:
            return self.constant(values, name)
        stored = self.constant(values.astype(np.float16), f"{name}/float16")
        options = schema.DequantizeOptionsT(), _OPTIONS.DequantizeOptions
        return self.operator(_CODES.DEQUANTIZE, [stored], values.shape, name, *options, version=3)

    def _set_padding(self, x: int, kernel: int, stride: int, options: Any, name: str) -> int:
        """Set padding and strides.

        With a stride, the padding is an operator of its own, because ``SAME`` then pads even sizes on one
        side only, unlike PyTorch.
        """
        options.strideH = options.strideW = stride
        if stride == 1:
            options.padding = schema.Padding.SAME
            return x
        options.padding = schema.Padding.VALID
        pad = kernel // 2
        pads = self.constant(np.array([[0, 0], [pad, pad], [pad, pad], [0, 0]], np.int32), f"{name}/pads")
        count, height, width, channels = self.shape(x)
        shape = (count, _grown(height, 2 * pad), _grown(width, 2 * pad), channels)
        return self.operator(
            _CODES.PAD, [x, pads], shape, f"{name}/padded", schema.PadOptionsT(), _OPTIONS.PadOptions
        )

    def _convolve(
        self,
        code: tuple[int, int],
        x: int,
        weights: int,
        bias: Array,
        options: Any,
        name: str,
        activation: Activation,
    ) -> int:
        count, *sizes, _ = self.shape(x)
        if options.padding == schema.Padding.VALID:
            _, *kernel, _ = self.shape(weights)
            sizes = [
                size if size == FREE else (size - length) // options.strideH + 1
                for size, length in zip(sizes, kernel, strict=True)
            ]
        inputs = [x, weights, self.constant(bias, f"{name}/bias")]
        return self._activated(code, inputs, (count, *sizes, len(bias)), options, name, activation)

    def _activated(
        self,
        code: tuple[int, int],
        inputs: Sequence[int],
        shape: Sequence[int],
        options: Any,
        name: str,
        activation: Activation,
    ) -> int:
        """Add an operator with an activation: ReLU is part of it, others are operators of their own."""
        operator, kind = code
        is_relu = activation == "relu"
        functions = schema.ActivationFunctionType
        options.fusedActivationFunction = functions.RELU if is_relu else functions.NONE
        is_fused = activation in ("none", "relu")
        x = self.operator(operator, inputs, shape, name if is_fused else f"{name}/linear", options, kind)
        if is_fused:
            return x
        following = _CODES.LOGISTIC if activation == "sigmoid" else _CODES.HARD_SWISH
        return self.operator(following, [x], shape, name)


def _grown(size: int, count: int) -> int:
    return size if size == FREE else size + count
