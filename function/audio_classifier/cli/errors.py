"""Describe errors with the names and the hints of the command line."""

from __future__ import annotations

from typing import Final

from audio_classifier.errors import (
    ArtifactNotFoundError,
    ArtifactUnverifiedError,
    AudioClassifierError,
    OutputError,
    ResultConflictError,
    UnknownLabelError,
    describe_error,
)

# The options and arguments for parameters of the library.
OPTION_NAMES: Final = {
    "audio": "FILE",
    "collar": "--collar",
    "embeddings": "EMBEDDINGS",
    "exclude": "--exclude",
    "format": "--format",
    "hop_s": "--hop",
    "host": "--host",
    "label": "--filter",
    "labels": "LABELS",
    "margin": "--margin",
    "min_duration_s": "--min-duration",
    "output": "--output",
    "plot": "--plot",
    "port": "--port",
    "query": "QUERY",
    "release": "--release",
    "resamples": "--resamples",
    "seed": "--seed",
    "sha256": "--sha256",
    "source": "--from",
    "start_s": "--start-time",
    "threshold": "--threshold",
    "thresholds": "--thresholds",
    "top_k": "--top-k",
    "uri": "--bundle",
    "window_s": "--window",
}
# Hints for errors that have none of their own; that of the nearest base class applies.
HINTS: Final[dict[type[AudioClassifierError], str]] = {
    ArtifactNotFoundError: "Download the files by hand, and name their folder or archive with --from.",
    ArtifactUnverifiedError: "Pass --allow-unverified for weights of your own; the manifest records it.",
    OutputError: "Free some space, or name another --output; results that are stored are not computed again.",
    ResultConflictError: "Name another --output.",
    UnknownLabelError: "`audio-classifier labels` lists all classes, with --groups also the groups.",
}


def describe(error: AudioClassifierError | OSError) -> dict[str, str]:
    """Build the body of an error; its ``message`` and ``hint`` are also what standard error shows."""
    return describe_error(error, names=OPTION_NAMES, hints=HINTS)
