"""EfficientAT's networks: their layers by width, and the weights of each layer.

They have the shape of MobileNetV3-Large (Howard et al., arXiv:1905.02244) with one input channel and a width
multiplier (Schmid, Koutini, Widmer, arXiv:2211.04772; github.com/fschmid56/EfficientAT, ``models/mn``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLASSES
from audio_classifier.errors import ArtifactFormatError

State: TypeAlias = Mapping[str, NDArray[Any]]
"""The tensors of a network by name, as PyTorch stores them."""

Activation: TypeAlias = Literal["none", "relu", "hard_swish"]

MEL_BANDS: Final = 128
BATCH_NORM_EPSILON: Final = 1e-3

# Kernel, expanded and output channels at width 1, squeeze-and-excitation, activation, stride.
BLOCKS: Final[tuple[tuple[int, int, int, bool, Activation, int], ...]] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)
FIRST_CHANNELS: Final = 16
HIDDEN: Final = 1280
LAST_FACTOR: Final = 6
SQUEEZE: Final = 4


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution without bias, padded by half of its kernel, and batch normalisation.

    Attributes
    ----------
    name
        The prefix of its tensors' names, ``.0.weight`` for the kernel and ``.1....`` for the normalisation.
    is_depthwise
        Whether each channel has a kernel of its own.
    """

    name: str
    inputs: int
    outputs: int
    activation: Activation
    kernel: int = 1
    stride: int = 1
    is_depthwise: bool = False


@dataclass(frozen=True, slots=True)
class SqueezeExcitation:
    """Scale channels by a function of their means: linear, ReLU, linear, sigmoid."""

    name: str
    channels: int
    squeezed: int


@dataclass(frozen=True, slots=True)
class Block:
    """Layers in a row; their input is added to their output if ``is_residual``."""

    layers: tuple[Convolution | SqueezeExcitation, ...]
    is_residual: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer with a bias."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Network:
    """A network from ``(1, bands, frames)`` log-mels to logits.

    Attributes
    ----------
    blocks
        The blocks, whose output is averaged over bands and frames.
    hidden, output
        The layers of the head; hard-swish follows the first one.
    """

    blocks: tuple[Block, ...]
    hidden: Linear
    output: Linear


def network(width: float) -> Network:
    """Return the network of a width multiplier, with the plain head."""
    first = scaled(FIRST_CHANNELS * width)
    blocks = [Block((Convolution("features.0", 1, first, "hard_swish", kernel=3, stride=2),))]
    inputs = first
    for index, (kernel, expanded, outputs, has_squeeze, activation, stride) in enumerate(BLOCKS, 1):
        channels = scaled(expanded * width), scaled(outputs * width)
        blocks.append(
            _block(f"features.{index}.block", inputs, *channels, kernel, has_squeeze, activation, stride)
        )
        inputs = channels[1]
    last = LAST_FACTOR * inputs
    name = f"features.{len(BLOCKS) + 1}"
    blocks.append(Block((Convolution(name, inputs, last, "hard_swish"),)))
    hidden = scaled(HIDDEN * width)
    return Network(
        tuple(blocks), Linear("classifier.2", last, hidden), Linear("classifier.5", hidden, CLASSES)
    )


def scaled(channels: float) -> int:
    """Round a number of channels to a multiple of 8, at least 8 and at least 90 % of the number."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(
    prefix: str,
    inputs: int,
    expanded: int,
    outputs: int,
    kernel: int,
    has_squeeze: bool,
    activation: Activation,
    stride: int,
) -> Block:
    layers: list[Convolution | SqueezeExcitation] = []

    def name() -> str:
        return f"{prefix}.{len(layers)}"

    if expanded != inputs:
        layers.append(Convolution(name(), inputs, expanded, activation))
    layers.append(
        Convolution(name(), expanded, expanded, activation, kernel=kernel, stride=stride, is_depthwise=True)
    )
    if has_squeeze:
        squeezed = scaled(expanded // SQUEEZE)
        layers.append(SqueezeExcitation(f"{name()}.conc_se_layers.0", expanded, squeezed))
    layers.append(Convolution(name(), expanded, outputs, "none"))
    return Block(tuple(layers), stride == 1 and inputs == outputs)


def tensor_shapes(net: Network) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of every tensor that inference needs."""
    for block in net.blocks:
        for layer in block.layers:
            if isinstance(layer, SqueezeExcitation):
                yield from _linear_shapes(Linear(f"{layer.name}.fc1", layer.channels, layer.squeezed))
                yield from _linear_shapes(Linear(f"{layer.name}.fc2", layer.squeezed, layer.channels))
                continue
            inputs = 1 if layer.is_depthwise else layer.inputs
            yield f"{layer.name}.0.weight", (layer.outputs, inputs, layer.kernel, layer.kernel)
            for field in ("weight", "bias", "running_mean", "running_var"):
                yield f"{layer.name}.1.{field}", (layer.outputs,)
    yield from _linear_shapes(net.hidden)
    yield from _linear_shapes(net.output)


def _linear_shapes(layer: Linear) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{layer.name}.weight", (layer.outputs, layer.inputs)
    yield f"{layer.name}.bias", (layer.outputs,)


def check_state(state: State, net: Network) -> None:
    """Check that a state dict has exactly the tensors of a network.

    Raises
    ------
    ArtifactFormatError
        If a tensor is missing, unknown, of another shape or type, or not finite.
    """
    shapes = dict(tensor_shapes(net))
    for name, shape in shapes.items():
        if name not in state:
            raise ArtifactFormatError(f"the tensor {name} is missing")
        array = state[name]
        if array.shape != shape:
            raise ArtifactFormatError(f"{name} must have the shape {shape}, got {array.shape}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ArtifactFormatError(f"{name} must contain only finite floating-point numbers")
        if name.endswith("running_var") and (array < 0).any():
            raise ArtifactFormatError(f"{name} must not be negative")
    for name in state:
        if name not in shapes and not name.endswith(".num_batches_tracked"):
            raise ArtifactFormatError(f"the network has no tensor {name[:60]!r}")


def fold(state: State, layer: Convolution) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fold the batch normalisation into the convolution, in float64.

    Returns
    -------
    The kernel ``(outputs, inputs, kernel, kernel)``, with one input if depthwise, and the bias
    ``(outputs,)``, both float32.
    """
    kernel, gamma, beta, mean, variance = (
        state[f"{layer.name}.{field}"].astype(np.float64)
        for field in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return (kernel * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)
