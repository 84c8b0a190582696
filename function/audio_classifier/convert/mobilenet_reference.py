"""Run an EfficientAT network in numpy, directly from PyTorch's tensors, to check exported networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_classifier.convert.mobilenet import (
    BATCH_NORM_EPSILON,
    Activation,
    Convolution,
    Linear,
    Network,
    SqueezeExcitation,
    State,
)

Array = NDArray[np.float64]


def forward(state: State, net: Network, log_mels: NDArray[np.floating]) -> Array:
    """Compute the logits in float64, without folding the batch normalisation.

    Parameters
    ----------
    state
        The tensors; see `mobilenet.check_state`.
    net
        The network.
    log_mels
        ``(n, frames, bands)``.

    Returns
    -------
    The logits ``(n, classes)``.
    """
    x = np.asarray(log_mels, np.float64).transpose(0, 2, 1)[:, None]  # (n, channels, bands, frames)
    for block in net.blocks:
        start = x
        for layer in block.layers:
            if isinstance(layer, SqueezeExcitation):
                x = x * _excitation(state, layer, x)
            else:
                x = _activate(_normalise(state, layer, _convolve(state, layer, x)), layer.activation)
        if block.is_residual:
            x = x + start
    hidden = _activate(_linear(state, net.hidden, x.mean((2, 3))), "hard_swish")
    return _linear(state, net.output, hidden)


def _convolve(state: State, layer: Convolution, x: Array) -> Array:
    """Sum shifted copies of the padded input, each multiplied by one element of the kernels."""
    kernel = _tensor(state, f"{layer.name}.0.weight")
    if layer.kernel == 1:
        return np.asarray(np.einsum("oi,nibf->nobf", kernel[:, :, 0, 0], x, optimize=True))
    # Here each output has one input: its own channel, or the single channel of the first layer.
    pad, stride = layer.kernel // 2, layer.stride
    bands, frames = (-(-size // stride) for size in x.shape[2:])
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    result = np.zeros((len(x), layer.outputs, bands, frames))
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            shifted = x[:, :, i : i + stride * bands : stride, j : j + stride * frames : stride]
            result += kernel[:, 0, i, j, None, None] * shifted[:, :, :bands, :frames]
    return result


def _normalise(state: State, layer: Convolution, x: Array) -> Array:
    gamma, beta, mean, variance = (
        _tensor(state, f"{layer.name}.1.{field}")[:, None, None]
        for field in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * gamma + beta


def _excitation(state: State, layer: SqueezeExcitation, x: Array) -> Array:
    squeezed = Linear(f"{layer.name}.fc1", layer.channels, layer.squeezed)
    scales = Linear(f"{layer.name}.fc2", layer.squeezed, layer.channels)
    logits = _linear(state, scales, _activate(_linear(state, squeezed, x.mean((2, 3))), "relu"))
    return (0.5 + 0.5 * np.tanh(logits / 2))[:, :, None, None]  # the sigmoid, which cannot overflow


def _linear(state: State, layer: Linear, x: Array) -> Array:
    return x @ _tensor(state, f"{layer.name}.weight").T + _tensor(state, f"{layer.name}.bias")


def _activate(x: Array, activation: Activation) -> Array:
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "hard_swish":
        return x * np.clip(x + 3, 0, 6) / 6
    return x


def _tensor(state: State, name: str) -> Array:
    return np.asarray(state[name], np.float64)
