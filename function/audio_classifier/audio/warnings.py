"""Define warnings about recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audio_classifier.errors import AudioError

TRUNCATED: Final = "truncated"
PARTLY_READ: Final = "partly_read"
REPAIRED: Final = "repaired"
RESCALED: Final = "rescaled"
INVALID_SAMPLES: Final = "invalid_samples"
CHANNELS_CANCEL: Final = "channels_cancel"
VERY_QUIET: Final = "very_quiet"
CLIPPED: Final = "clipped"

MIN_UNREAD_BYTES: Final = 1 << 10  # fewer bytes after the audio are padding


@dataclass(frozen=True, slots=True)
class AudioWarning:
    """Something about a recording that can make its predictions wrong.

    Attributes
    ----------
    code
        A stable identifier for programs:

        ``truncated``
            The file ends before the end of its audio.
        ``partly_read``
            The file contains data that were not read.
        ``repaired``
            The structure of the file is wrong, but all of its audio was read.
        ``rescaled``
            Floats in the scale of integers were divided by it.
        ``invalid_samples``
            Samples that are not numbers were replaced with zeros.
        ``channels_cancel``
            The channels cancel each other out in the mean; the loudest one was used.
        ``very_quiet``
            The peak is below -60 dBFS.
        ``clipped``
            More than 0.1 % of the samples are at full scale.
    message
        A sentence for people.
    details
        The numbers in it, by name with their unit.
    """

    code: str
    message: str
    details: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the warning as JSON represents it."""
        return {"code": self.code, "message": self.message, **self.details}


def unread_bytes(count: int, *, is_estimate: bool = False) -> list[AudioWarning]:
    """Return the warning about bytes that follow the audio, or nothing if they are few."""
    if count < MIN_UNREAD_BYTES:
        return []
    message = f"{'about ' if is_estimate else ''}{count} bytes that follow the audio were not read"
    return [AudioWarning(PARTLY_READ, message, {"unread_bytes": count})]


def unread_files(kind: str, read: int, failures: Sequence[AudioError]) -> list[AudioWarning]:
    """Return the warning about joined files that cannot be read, or nothing if there are none.

    Parameters
    ----------
    kind
        Their format.
    read
        How many others are read.
    """
    if not failures:
        return []
    total = read + len(failures)
    message = f"{len(failures)} of {total} {kind} files in the file were not read: {failures[0]}"
    return [AudioWarning(PARTLY_READ, message, {"files_read": read})]
