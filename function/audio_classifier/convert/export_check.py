"""Check the networks that are exported to LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import ConversionError


def check_deviation(
    actual: NDArray[np.float32],
    expected: NDArray[Any],
    *,
    tolerance: float,
    precision: str,
    reference: str,
) -> None:
    """Compare the results of an exported network with those of the original.

    Parameters
    ----------
    tolerance
        The accepted deviation as a share of the range of ``expected``.
    precision, reference
        The number format of the export, and what computed ``expected``, for the message.

    Raises
    ------
    ConversionError
        If the deviation is larger, or not a number.
    """
    span = float(np.ptp(expected))
    error = float(np.abs(actual - expected).max()) / span if span else float("inf")
    if not error <= tolerance:
        raise ConversionError(
            f"the exported {precision} network deviates from {reference} by {error:.2%} of its range, "
            f"more than the accepted {tolerance:.2%}",
            hint="The weights may be damaged; nothing was written.",
        )
