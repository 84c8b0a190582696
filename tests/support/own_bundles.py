"""A bundle with a linear head, written without scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio_classifier.model.attention import Dense
from audio_classifier.model.bundle import Bundle, write_bundle
from audio_classifier.model.linear_head import FEATURES, LinearHead

OWN_CLASSES = ("kettle", "Motor, worn", "front door")


def own_head(classes: int = len(OWN_CLASSES), seed: int = 0) -> LinearHead:
    """Return a head with random weights."""
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((FEATURES, classes)) / 4
    return LinearHead(Dense(kernel.astype(np.float32), rng.standard_normal(classes).astype(np.float32)))


def make_own_bundle(base: Path, target: Path, *, keep_base_classes: bool = False) -> Path:
    """Write a bundle with own classes, after those of the base if they are kept."""
    labels = (
        (base / "labels.csv").read_text(encoding="utf-8") if keep_base_classes else "index,mid,display_name\n"
    )
    first = len(labels.splitlines()) - 1
    for index, name in enumerate(OWN_CLASSES, first):
        labels += f'{index},"{name}","{name}"\n'
    files = {name: base / name for name in ("embedding.tflite", "postprocess.npz")}
    if keep_base_classes:
        files["head.npz"] = base / "head.npz"
    write_bundle(
        target,
        {**files, "linear_head.npz": own_head().arrays(), "labels.csv": labels.encode()},
        schema_version=2,
        name="own",
        version="1",
        description="",
        licence=Bundle.open(base).manifest.licence,
    )
    return target
