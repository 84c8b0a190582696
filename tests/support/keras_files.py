"""Write small Keras 2 HDF5 files of the decision-level attention family."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

CLASSES = 4


@dataclass
class KerasFile:
    """A model under construction: its layers in order, and their arrays by layer and name.

    ``offset`` is added to the number of every layer, as in a file of a process that built other models.
    """

    offset: int = 0
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, kind: str, prefix: str, inputs: Sequence[str] = (), **config: Any) -> str:
        self.counts[prefix] = self.counts.get(prefix, self.offset) + 1
        name = f"{prefix}_{self.counts[prefix]}"
        nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
        self.layers.append(
            {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}
        )
        self.weights[name] = {}
        return name

    def dense(self, source: str, inputs: int, units: int, activation: str) -> str:
        name = self.add("Dense", "dense", [source], units=units, activation=activation, use_bias=True)
        self.weights[name] = {
            "kernel": self.rng.standard_normal((inputs, units)).astype(np.float32)
            / np.float32(np.sqrt(inputs)),
            "bias": self.rng.standard_normal(units).astype(np.float32),
        }
        return name

    def block(self, source: str, inputs: int, units: int, epsilon: float = 1e-3) -> str:
        """Add Dense, BatchNorm, ReLU and dropout layers."""
        dense = self.dense(source, inputs, units, "linear")
        norm = self.add("BatchNormalization", "batch_normalization", [dense], axis=-1, epsilon=epsilon)
        for name in ("gamma", "beta", "moving_mean"):
            self.weights[norm][name] = self.rng.standard_normal(units).astype(np.float32)
        self.weights[norm]["moving_variance"] = self.rng.uniform(0.5, 2, units).astype(np.float32)
        relu = self.add("Activation", "activation", [norm], activation="relu")
        return self.add("Dropout", "dropout", [relu], rate=0.5)

    def pool(self, source: str, inputs: int, classes: int = CLASSES) -> str:
        """Add scores and attention on a layer, and the Lambda layer that pools them."""
        parts = [self.dense(source, inputs, classes, kind) for kind in ("sigmoid", "softmax")]
        code = ["bm90IG1hcnNoYWw=\n", None, None]  # not bytecode, so that running it fails
        return self.add("Lambda", "lambda", parts, function=code, function_type="lambda", arguments={})

    def write(self, path: Path, output: str, *, weights_only: bool = False) -> Path:
        config = {
            "class_name": "Model",
            "config": {"name": "model_1", "layers": self.layers, "output_layers": [[output, 0, 0]]},
        }
        with h5py.File(path, "w") as file:
            group = file
            if not weights_only:
                file.attrs["model_config"] = np.bytes_(json.dumps(config))
                group = file.create_group("model_weights")
            group.attrs["layer_names"] = [layer["name"].encode() for layer in self.layers]
            for layer, arrays in self.weights.items():
                subgroup = group.create_group(layer)
                subgroup.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in arrays]
                for name, array in arrays.items():
                    subgroup.create_dataset(f"{layer}/{name}:0", data=array)
        return path

    def layer(self, name: str) -> dict[str, Any]:
        (found,) = (layer for layer in self.layers if layer["name"] == name)
        return found


def multi_level(
    widths: Sequence[int] = (16, 12, 8),
    levels: int = 2,
    *,
    offset: int = 0,
    classes: int = CLASSES,
    epsilon: float = 1e-3,
) -> tuple[KerasFile, str]:
    """Return the published architecture with any depth, and the name of its output layer."""
    file = KerasFile(offset)
    source = file.add("InputLayer", "input", batch_input_shape=[None, 10, 128])
    ends = []
    for inputs, units in zip((128, *widths), widths, strict=False):
        source = file.block(source, inputs, units, epsilon)
        ends.append(source)
    pools = [
        file.pool(end, units, classes)
        for end, units in zip(ends[len(ends) - levels :], widths[len(widths) - levels :], strict=True)
    ]
    joined = file.add("Concatenate", "concatenate", pools, axis=-1)
    last = file.dense(joined, levels * classes, classes, "linear")
    return file, file.add("Activation", "activation", [last], activation="sigmoid")


def single_level() -> tuple[KerasFile, str]:
    """Return decision-level single attention (arXiv:1711.00927), whose output is the pooled scores."""
    file = KerasFile()
    source = file.block(file.add("InputLayer", "input"), 128, 16)
    return file, file.pool(source, 16)


Change = Callable[[KerasFile], object]
