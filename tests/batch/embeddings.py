"""Files of embeddings for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio_classifier.batch.embedding_files import BundleIdentity, written_embeddings
from audio_classifier.inference.embeddings import Embeddings

BUNDLE = BundleIdentity("compact", "1.2.3", "0123abcd")


def embeddings(patches: int, seed: int = 0) -> Embeddings:
    codes = np.random.default_rng(seed).integers(0, 256, (patches, 128), np.uint8)
    return Embeddings.consecutive(codes)


def write(path: Path, *recordings: tuple[str, Embeddings]) -> Path:
    with written_embeddings(path, BUNDLE) as writer:
        for name, found in recordings:
            writer.add(name, found)
    return path


RECORDINGS = [("a b.wav", embeddings(3, 1)), ("ü\udcff.wav", embeddings(0)), ("c.wav", embeddings(2, 2))]
