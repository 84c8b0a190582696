"""Import the published model: find the artifacts, read them, export the network, write a bundle."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from audio_classifier.assets import audioset_labels_path
from audio_classifier.constants import CLASSES
from audio_classifier.convert.artifacts import CHECKPOINT, CLASSIFIER, KNOWN_SOURCES, PCA, Artifact, collect
from audio_classifier.convert.keras_classifier import read_classifier
from audio_classifier.convert.litert_export import Precision, export_embedding
from audio_classifier.convert.max_artifacts import read_checkpoint, read_pca
from audio_classifier.errors import ArtifactFormatError, MissingExtraError
from audio_classifier.hub.remote import Progress
from audio_classifier.model.bundle import Bundle, FileContent, check_absent, write_bundle
from audio_classifier.model.manifest import EMBEDDING, HEAD, LABELS, POSTPROCESS, Source

VERSION: Final = "1.0.0"  # IBM's release of the artifacts
LICENCE: Final = "Apache-2.0; labels CC BY-SA 4.0"

# Metrics of the published model as stated by its authors, not measured here.
PUBLISHED_METRICS: Final = {"AudioSet evaluation": {"mAP": 0.357, "AUC": 0.968, "d_prime": 2.621}}

_log = logging.getLogger(__name__)


def import_max(
    out_dir: Path,
    sources: Sequence[str] = (),
    *,
    precision: Precision = "float32",
    allow_unverified: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Convert IBM's three artifacts to a bundle at ``out_dir``, which must not exist.

    Parameters
    ----------
    sources
        The sources to search, in this order, by default `artifacts.KNOWN_SOURCES`; see `artifacts.collect`.
    precision
        Number format of the embedding network's weights.
    allow_unverified
        Also accept weights other than the published ones; the manifest records it.
    progress
        Called for every downloaded piece.

    Raises
    ------
    MissingExtraError
        If TensorFlow or h5py is not installed.
    ConversionError
        If the artifacts cannot be found, verified or understood.  Nothing is written in this case.
    """
    if any(find_spec(module) is None for module in ("tensorflow", "h5py")):
        raise MissingExtraError("importing the published weights", "convert")
    check_absent(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)  # fails early if it cannot be created
    with tempfile.TemporaryDirectory(prefix="import-max-") as workspace:
        artifacts = collect(
            sources or KNOWN_SOURCES, Path(workspace), allow_unverified=allow_unverified, progress=progress
        )
        head = read_classifier(artifacts[CLASSIFIER].path)
        if head.classes != CLASSES:
            raise ArtifactFormatError(
                f"{CLASSIFIER} must have AudioSet's {CLASSES} classes, got {head.classes}"
            )
        pca = read_pca(artifacts[PCA].path)
        weights = read_checkpoint(artifacts[CHECKPOINT].path)
        _log.info("exporting the embedding network as %s", precision)
        files: dict[str, FileContent] = {
            EMBEDDING: export_embedding(weights, precision),
            POSTPROCESS: pca.arrays(),
            HEAD: head.arrays(),
            LABELS: audioset_labels_path(),
        }
    published = all(artifact.verified for artifact in artifacts.values())
    return write_bundle(
        out_dir,
        files,
        name="max",
        version=VERSION,
        description="VGGish and the multi-level attention classifier, "
        + ("as published by IBM and Google." if published else "with weights other than the published ones."),
        licence=LICENCE if published else "unknown: not the published weights",
        precision=precision,
        provenance=tuple(_source(name, artifact) for name, artifact in artifacts.items()),
        metrics=PUBLISHED_METRICS if published and precision == "float32" else {},
    )


def _source(name: str, artifact: Artifact) -> Source:
    return Source(name=name, origin=artifact.origin, sha512=artifact.sha512, verified=artifact.verified)
