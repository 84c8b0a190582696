"""Create a bundle with random weights for each model that can be imported.

``python -m benchmarks.model_material FOLDER`` also creates the recording to classify.  The published model is
left out if TensorFlow is not installed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_classifier.assets import audioset_labels_path
from audio_classifier.convert.efficientat_models import PUBLISHED
from audio_classifier.convert.import_efficientat import FRONT_END
from audio_classifier.convert.mobilenet import Network, network, tensor_shapes
from audio_classifier.convert.mobilenet_export import export_network
from audio_classifier.model.bundle import Bundle, write_bundle
from audio_classifier.model.manifest import LABELS, NETWORK
from benchmarks.material import write_max_bundles, write_ten_seconds
from benchmarks.paths import Paths


def main() -> None:
    paths = Paths(Path(sys.argv[1]))
    write_ten_seconds(paths)
    if find_spec("tensorflow"):
        write_max_bundles(paths, ["float32"])
    for name in PUBLISHED:
        write_random_bundle(paths.folder / name, name)


def write_random_bundle(folder: Path, name: str) -> Bundle:
    """Write a bundle with the architecture of one of EfficientAT's models."""
    net = network(PUBLISHED[name].width)
    return write_bundle(
        folder,
        {NETWORK: export_network(random_state(net), net), LABELS: audioset_labels_path()},
        schema_version=2,
        network="clip",
        front_end=FRONT_END,
        name=name,
        version="1",
        description="The published architecture with random weights",
        licence="Apache-2.0",
    )


def random_state(net: Network) -> dict[str, NDArray[np.float32]]:
    """Draw weights that keep the scale of signals, with batch normalisations that change nothing."""
    generator = np.random.default_rng(0)
    state = {}
    for name, shape in tensor_shapes(net):
        if len(shape) > 1:
            scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
            state[name] = scale * generator.standard_normal(shape, np.float32)
        else:
            is_factor = name.endswith((".1.weight", ".running_var"))
            state[name] = np.full(shape, 1 if is_factor else 0, np.float32)
    return state


if __name__ == "__main__":
    main()
