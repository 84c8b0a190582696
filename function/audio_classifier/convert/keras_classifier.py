"""Read an `AttentionHead` from ``classifier_model.h5`` without executing anything in the file.

The Lambda layers of the published file contain marshalled bytecode, which Keras would run on loading.  This
module instead follows the graph in ``model_config`` from its output to its input.  A layer of an unknown
kind is refused by name.  A Lambda with two inputs is taken as the only one that this family of models has,
``attention_pooling`` (qiuqiangkong/audioset_classification, ``keras/main.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.convert.keras_weights import Arrays, read_weights, refuse
from audio_classifier.errors import ArtifactFormatError, BundleInvalidError, MissingExtraError
from audio_classifier.model.attention import AttentionHead, Dense, Level

DEFAULT_EPSILON: Final = 1e-3  # Keras's default, for a file that does not state it


def read_classifier(path: Path) -> AttentionHead:
    """Read a Keras 2 HDF5 file of the decision-level attention family, with or without its graph.

    Any number of hidden layers and levels is accepted, whatever the numbers in the layers' names.  A file
    that was saved with weights only has no graph.  In this case the layers must be in the family's order
    (the hidden layers, each with a BatchNorm; the scores and attention of each level, which belong to the
    last hidden layers; the output), and BatchNorm's epsilon is Keras's default.

    Raises
    ------
    ArtifactFormatError
        If the file contains something unsupported; the message names the layer.
    MissingExtraError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading a Keras model", "convert") from error
    try:
        with h5py.File(path) as file:
            config = file.attrs.get("model_config")
            weights = read_weights(file.get("model_weights", file))
        return head_from_weights(weights) if config is None else _Graph(config, weights).head()
    except ArtifactFormatError:
        raise
    except BundleInvalidError as error:
        raise ArtifactFormatError(f"{path.name}: {error}") from error
    except Exception as error:  # h5py and unexpected JSON raise many kinds of exceptions
        raise ArtifactFormatError(f"{path.name} is not a Keras HDF5 file: {error!r}") from error


def head_from_weights(weights: Mapping[str, Arrays]) -> AttentionHead:
    """Build the head from the arrays of its layers, which must be in the family's order.

    Parameters
    ----------
    weights
        Arrays by layer, ``{"dense_1": {"kernel": ..., "bias": ...}, "batch_normalization_1": {"gamma":
        ...}}``.

    Raises
    ------
    ArtifactFormatError
        If the layers do not belong to the family.
    """
    kinds: dict[str, list[str]] = {"dense": [], "batch_normalization": []}
    for name in sorted(weights, key=_number):
        kind = re.sub(r"_\d+$", "", name)
        if kind not in kinds:
            refuse(name, "is not a layer of this family")
        kinds[kind].append(name)
    norms, denses = kinds["batch_normalization"], kinds["dense"]
    blocks, rest = denses[: len(norms)], denses[len(norms) :]
    pairs, last = rest[: len(rest) // 2 * 2], rest[len(rest) // 2 * 2 :]
    if not blocks or not pairs:
        raise ArtifactFormatError(
            f"{len(denses)} dense layers and {len(norms)} BatchNorms do not form an attention head"
        )
    hidden = tuple(
        _fold(_dense(weights, dense), weights, norm, DEFAULT_EPSILON)
        for dense, norm in zip(blocks, norms, strict=True)
    )
    first = len(blocks) - len(pairs) // 2
    levels = tuple(
        _level(first + index, _dense(weights, scores), _dense(weights, attention))
        for index, (scores, attention) in enumerate(zip(pairs[::2], pairs[1::2], strict=True))
    )
    return AttentionHead(hidden, levels, _dense(weights, last[0]) if last else None)


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]

    @property
    def activation(self) -> str:
        if self.kind == "ReLU":
            return "relu"
        return str(self.config.get("activation", "linear"))


class _Graph:
    """The layers of ``model_config``, followed from the output back to the input."""

    def __init__(self, config: str | bytes, weights: Mapping[str, Arrays]) -> None:
        self._weights = weights
        try:
            model = json.loads(config)
            if model["class_name"] not in ("Model", "Functional"):
                raise ArtifactFormatError(
                    f"model_config must describe a functional model, got a {model['class_name']}"
                )
            self._layers = {layer.name: layer for layer in map(_parse_layer, model["config"]["layers"])}
            ((self._output, *_),) = model["config"]["output_layers"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ArtifactFormatError(f"model_config differs from what Keras 2 writes: {error!r}") from error

    def head(self) -> AttentionHead:
        last = self._layer(self._output)
        if last.kind == "Lambda":
            return self._head([last], None)
        if last.kind == "Activation":
            self._expect(last, "sigmoid")
            output = self._expect(self._before(last), "linear", kind="Dense")
        else:
            output = self._expect(last, "sigmoid", kind="Dense")
        source = self._before(output)
        if source.kind != "Concatenate":
            return self._head([source], output)
        if source.config.get("axis", -1) not in (-1, 1):
            refuse(source.name, f"must concatenate the last axis, got axis {source.config['axis']}")
        return self._head([self._layer(name) for name in source.inputs], output)

    def _head(self, pools: list[_Layer], output: _Layer | None) -> AttentionHead:
        parts = [self._scores_and_attention(pool) for pool in pools]
        chains = [self._hidden(self._before(scores)) for scores, _ in parts]
        longest = max(chains, key=len)
        if any(chain != longest[: len(chain)] for chain in chains):
            raise ArtifactFormatError("the hidden layers of the levels must follow each other in one chain")
        levels = tuple(
            _level(len(chain) - 1, _dense(self._weights, scores.name), _dense(self._weights, attention.name))
            for chain, (scores, attention) in zip(chains, parts, strict=True)
        )
        hidden = tuple(self._fold(dense, norm) for dense, norm in longest)
        return AttentionHead(hidden, levels, None if output is None else _dense(self._weights, output.name))

    def _scores_and_attention(self, pool: _Layer) -> tuple[_Layer, _Layer]:
        if pool.kind != "Lambda" or len(pool.inputs) != 2 or pool.config.get("arguments"):
            refuse(
                pool.name,
                f"({pool.kind} with {len(pool.inputs)} inputs) is not the attention pooling of this family",
            )
        scores, attention = (self._layer(name) for name in pool.inputs)
        self._expect(scores, "sigmoid", kind="Dense")
        self._expect(attention, "softmax", kind="Dense")
        if self._before(scores) != self._before(attention):
            refuse(pool.name, "pools scores and attention of different layers")
        return scores, attention

    def _hidden(self, end: _Layer) -> list[tuple[_Layer, _Layer | None]]:
        """Return the hidden layers up to ``end``, each as its Dense and its BatchNorm, if it has one."""
        chain: list[tuple[_Layer, _Layer | None]] = []
        while end.kind != "InputLayer":
            if len(chain) > len(self._layers):
                refuse(end.name, "is part of a cycle")
            norm = None
            if end.kind == "Dense":
                dense = self._expect(end, "relu")
            else:
                if end.kind not in ("Activation", "ReLU"):
                    refuse(end.name, f"is a {end.kind}, expected the ReLU of a hidden layer")
                dense = self._before(self._expect(end, "relu"))
                if dense.kind == "BatchNormalization":
                    norm, dense = dense, self._before(dense)
                self._expect(dense, "linear", kind="Dense")
            chain.insert(0, (dense, norm))
            end = self._before(dense)
        return chain

    def _fold(self, dense: _Layer, norm: _Layer | None) -> Dense:
        layer = _dense(self._weights, dense.name)
        if norm is None:
            return layer
        if norm.config.get("axis", -1) not in (-1, 2, [-1], [2]):
            refuse(norm.name, f"must normalize the last axis, got axis {norm.config['axis']}")
        return _fold(layer, self._weights, norm.name, float(norm.config.get("epsilon", DEFAULT_EPSILON)))

    def _before(self, layer: _Layer) -> _Layer:
        """Return the only input of a layer, skipping dropout, which does nothing at inference."""
        if len(layer.inputs) != 1:
            refuse(layer.name, f"({layer.kind}) has {len(layer.inputs)} inputs, expected one")
        before = self._layer(layer.inputs[0])
        for _ in self._layers:  # bounded, in case the layers form a cycle
            if before.kind != "Dropout" or len(before.inputs) != 1:
                break
            before = self._layer(before.inputs[0])
        return before

    def _layer(self, name: str) -> _Layer:
        if name not in self._layers:
            refuse(name, "is referenced in model_config, but not defined")
        return self._layers[name]

    def _expect(self, layer: _Layer, activation: str, *, kind: str | None = None) -> _Layer:
        if kind is not None and layer.kind != kind:
            refuse(layer.name, f"is a {layer.kind}, expected a {kind}")
        if layer.activation != activation:
            refuse(layer.name, f"has the activation {layer.activation}, expected {activation}")
        return layer


def _parse_layer(layer: dict[str, Any]) -> _Layer:
    nodes = layer["inbound_nodes"]
    if len(nodes) > 1:
        refuse(layer["name"], "is used more than once")
    inputs = tuple(str(source[0]) for source in nodes[0]) if nodes else ()
    return _Layer(layer["name"], layer["class_name"], layer["config"], inputs)


def _array(weights: Mapping[str, Arrays], layer: str, name: str) -> NDArray[np.float32]:
    try:
        return weights[layer][name]
    except KeyError:
        refuse(layer, f"has no {name}")


def _dense(weights: Mapping[str, Arrays], layer: str) -> Dense:
    kernel = _array(weights, layer, "kernel")
    units = kernel.shape[-1]
    bias = weights[layer].get("bias", np.zeros(units, np.float32))  # absent with use_bias=False
    if kernel.ndim != 2 or bias.shape != (units,):
        refuse(layer, f"has a kernel of shape {kernel.shape} and a bias of shape {bias.shape}")
    return Dense(kernel, bias)


def _fold(dense: Dense, weights: Mapping[str, Arrays], norm: str, epsilon: float) -> Dense:
    mean, variance = _array(weights, norm, "moving_mean"), _array(weights, norm, "moving_variance")
    gamma = weights[norm].get("gamma", np.ones_like(mean))  # absent with scale=False
    beta = weights[norm].get("beta", np.zeros_like(mean))  # absent with center=False
    if {array.shape for array in (gamma, beta, mean, variance)} != {dense.bias.shape}:
        refuse(norm, f"does not fit a layer of {len(dense.bias)} units")
    if not (variance + epsilon > 0).all():
        refuse(norm, "has a variance that is not positive")
    return dense.folded(gamma, beta, mean, variance, epsilon)


def _level(block: int, scores: Dense, attention: Dense) -> Level:
    if scores.kernel.shape != attention.kernel.shape:
        raise ArtifactFormatError(
            f"scores {scores.kernel.shape} and attention {attention.kernel.shape} differ in shape"
        )
    return Level(
        block,
        Dense(np.hstack([scores.kernel, attention.kernel]), np.concatenate([scores.bias, attention.bias])),
    )


def _number(name: str) -> tuple[int, str]:
    match = re.search(r"_(\d+)$", name)
    return (int(match[1]) if match else 0), name
