"""Describe errors with the names and the hints of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audio_classifier.errors import (
    ArtifactNotFoundError,
    ArtifactUnverifiedError,
    AudioClassifierError,
    InvalidParameterError,
    OutputError,
    ResultConflictError,
    UnknownLabelError,
    error_body,
)

# Parameters of the library, and their options and arguments.
OPTIONS: Final = {
    "audio": "FILE",
    "format": "--format",
    "hop_s": "--hop",
    "label": "--filter",
    "min_duration_s": "--min-duration",
    "output": "--output",
    "plot": "--plot",
    "release": "--release",
    "start_s": "--start-time",
    "threshold": "--threshold",
    "top_k": "--top-k",
    "uri": "--bundle",
    "window_s": "--window",
}
# Hints for errors that have none of their own; that of the nearest base class applies.
HINTS: Final[dict[type[BaseException], str]] = {
    ArtifactNotFoundError: "Download the files by hand, and name their folder or archive with --from.",
    ArtifactUnverifiedError: "Pass --allow-unverified for weights of your own; the manifest will say so.",
    OutputError: "Free some space, or name another --output; results that are stored are not computed again.",
    ResultConflictError: "Name another --output.",
    UnknownLabelError: "`audio-classifier labels` lists all classes.",
}


@dataclass(frozen=True, slots=True)
class Description:
    """An error as the command line reports it."""

    code: str
    message: str
    hint: str

    def body(self) -> dict[str, str]:
        """Return the body of the error, for JSON output."""
        return error_body(self.code, self.message, self.hint)


def describe(error: AudioClassifierError | OSError) -> Description:
    """Describe an error."""
    if isinstance(error, OSError):
        return Description("os_error", error.strerror or str(error), "")
    message = str(error)
    if isinstance(error, InvalidParameterError):
        message = f"{OPTIONS.get(error.parameter, error.parameter)}: {error.reason}"
    hint = error.hint or next((HINTS[cls] for cls in type(error).__mro__ if cls in HINTS), "")
    return Description(error.code, message, hint)
