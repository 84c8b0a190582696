"""Import a published EfficientAT network: read its weights, export the network, write a bundle."""

from __future__ import annotations

import logging
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Final, get_args

from audio_classifier.assets import audioset_labels_path
from audio_classifier.convert.efficientat_models import LICENCE, PUBLISHED, PublishedModel
from audio_classifier.convert.mobilenet import MEL_BANDS, Network, State, check_state, network, tensor_shapes
from audio_classifier.convert.mobilenet_export import Precision, export_network
from audio_classifier.convert.torch_file import read_state_dict
from audio_classifier.errors import (
    ArtifactFormatError,
    ArtifactNotFoundError,
    ArtifactUnverifiedError,
    InvalidParameterError,
)
from audio_classifier.hub.download import download_until
from audio_classifier.hub.remote import Progress, Remote, is_remote, open_remote
from audio_classifier.model.bundle import Bundle, check_absent, hash_file, write_bundle
from audio_classifier.model.manifest import LABELS, NETWORK, Source

VERSION: Final = "1.0.0"
FLOAT_BYTES: Final = 4
MAX_OVERHEAD_BYTES: Final = 1 << 20  # of a .pt file; 150 kB for 312 tensors
MAX_SHOWN: Final = 80  # characters of an argument in a message

# The front end of the networks; see `audio.front_end`.
FRONT_END: Final = {
    "sample_rate_hz": 32_000,
    "window_samples": 800,
    "hop_samples": 320,
    "fft_size": 1024,
    "window": "hann_symmetric",
    "is_centred": True,
    "pre_emphasis": 0.97,
    "spectrum": "power",
    "mel_bands": MEL_BANDS,
    "mel_min_hz": 0.0,
    "mel_max_hz": 15_000.0,
    "log_offset": 1e-5,
    "log_shift": 4.5,
    "log_scale": 5.0,
    "precision": "float32",
}

_log = logging.getLogger(__name__)


def import_efficientat(
    name: str,
    out_dir: Path,
    *,
    source: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    precision: Precision = "float32",
    deadline_s: float | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Convert the weights of an EfficientAT network to a bundle at ``out_dir``, which must not exist.

    Parameters
    ----------
    name
        A name in `efficientat_models.PUBLISHED`.
    source
        The ``.pt`` file as a path, or an ``https://`` or ``s3://`` URI; the authors' release by default.
    sha256
        The expected SHA-256 of the file in hexadecimal; by default the known one, if there is one.  Weights
        without either are accepted, and the manifest records them as unverified.
    precision
        Number format of the weights.
    deadline_s
        Within how many seconds the file must be downloaded; None for no limit.
    progress
        Called for every downloaded piece.

    Raises
    ------
    InvalidParameterError
        If ``name``, ``source``, ``sha256`` or ``precision`` is invalid.
    TransferError
        If the file cannot be downloaded.
    ConversionError
        If the file cannot be found, verified or understood.
    BundleInvalidError
        If ``out_dir`` exists.

    Nothing is written if an exception is raised.
    """
    _check_arguments(name, sha256, precision)
    check_absent(out_dir)
    model = PUBLISHED[name]
    net = network(model.width)
    max_bytes = MAX_OVERHEAD_BYTES + sum(FLOAT_BYTES * math.prod(shape) for _, shape in tensor_shapes(net))
    with tempfile.TemporaryDirectory(prefix="import-efficientat-") as folder:
        if source is None or is_remote(os.fspath(source)):
            remote = _open_remote(model.url if source is None else os.fspath(source))
            path, origin = Path(folder, model.file), remote.uri
            _log.info("downloading %s", origin)
            download_until(remote, path, max_bytes=max_bytes, deadline_s=deadline_s, progress=progress)
        else:
            path, origin = Path(source), os.fspath(source)
            _check_local(path, name, max_bytes)
        verified = _verify(path, model, sha256)
        state = _read_weights(path, name, net, max_bytes)
        provenance = Source(
            name=model.file, origin=origin, sha512=hash_file(path, "sha512"), verified=verified
        )
    is_published = verified or (verified is None and source is None)
    return write_bundle(
        out_dir,
        {NETWORK: export_network(state, net, precision), LABELS: audioset_labels_path()},
        schema_version=2,
        network="clip",
        front_end=FRONT_END,
        name=name,
        version=VERSION,
        description=_describe(name, model, verified),
        licence=LICENCE if is_published else "unknown: not verified as the published weights",
        precision=precision,
        provenance=(provenance,),
        metrics=_metrics(model) if is_published and precision == "float32" else {},
    )


def _check_arguments(name: str, sha256: str | None, precision: str) -> None:
    if name not in PUBLISHED:
        raise InvalidParameterError(
            "name", f"must be one of {', '.join(PUBLISHED)}, got {name[:MAX_SHOWN]!r}"
        )
    if precision not in get_args(Precision):
        choices = " or ".join(get_args(Precision))
        raise InvalidParameterError("precision", f"must be {choices}, got {precision[:MAX_SHOWN]!r}")
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise InvalidParameterError("sha256", f"must be 64 hexadecimal digits, got {sha256[:MAX_SHOWN]!r}")


def _open_remote(uri: str) -> Remote:
    try:
        return open_remote(uri)
    except InvalidParameterError as error:
        raise InvalidParameterError("source", error.reason, hint=error.hint) from error


def _check_local(path: Path, name: str, max_bytes: int) -> None:
    if not path.is_file():
        raise ArtifactNotFoundError(
            f"{path} is not a file", hint="Name an existing .pt file, or no source, to download it."
        )
    if (size := path.stat().st_size) > max_bytes:
        raise ArtifactFormatError(
            f"{path.name} must have at most {max_bytes} bytes, got {size}",
            hint=f"Check that it is the file of {name}.",
        )


def _verify(path: Path, model: PublishedModel, sha256: str | None) -> bool | None:
    """Check the SHA-256; return whether the file is the published one, or None if nothing is known."""
    expected, actual = sha256.lower() if sha256 else model.sha256, hash_file(path, "sha256")
    if expected is None:
        _log.warning("%s is not verified: no checksum is published; its SHA-256 is %s", path.name, actual)
        return None
    if actual != expected:
        raise ArtifactUnverifiedError(
            f"{path.name} must have the SHA-256 {expected}, got {actual}",
            hint="Use the published file; for weights of your own, state their SHA-256.",
        )
    return actual == (model.sha256 or expected)


def _read_weights(path: Path, name: str, net: Network, max_bytes: int) -> State:
    state = read_state_dict(path, max_bytes=max_bytes)
    try:
        check_state(state, net)
    except ArtifactFormatError as error:
        raise ArtifactFormatError(
            f"{path.name}: {error}", hint=f"Check that it is the file of {name}."
        ) from error
    return state


def _describe(name: str, model: PublishedModel, verified: bool | None) -> str:
    weights = {
        True: "as published by its authors.",
        False: "with weights other than the published ones.",
        None: "with weights that are not verified, because no checksum is published.",
    }
    return f"EfficientAT {name}, a MobileNetV3 of width {model.width}, {weights[verified]}"


def _metrics(model: PublishedModel) -> dict[str, dict[str, float]]:
    """Return the metrics that the authors state; they are not measured here."""
    return {"AudioSet evaluation": {"mAP": model.mean_average_precision}}
