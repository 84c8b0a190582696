"""Define warnings about recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

TRUNCATED: Final = "truncated"
PARTLY_READ: Final = "partly_read"
REPAIRED: Final = "repaired"
RESCALED: Final = "rescaled"
INVALID_SAMPLES: Final = "invalid_samples"
CHANNELS_CANCEL: Final = "channels_cancel"
VERY_QUIET: Final = "very_quiet"
CLIPPED: Final = "clipped"


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
