"""Limits of what the function returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from audio_classifier.errors import ResponseTooLargeError

# Of the JSON that the function returns (the emulator enforces the same limit).
MAX_BYTES: Final = 6_291_556
LOAD_BALANCER_MAX_BYTES: Final = 1_000_000  # documented as "1 MB"; this is the smaller meaning
ENVELOPE_BYTES: Final = 16 << 10  # for what the JSON contains in addition to the body: headers, status
HINT: Final = "Request fewer classes (top_k, filter) or a longer hop, or split the recording."


def max_response_bytes(event: Mapping[str, Any]) -> int:
    """Return the limit of the body, as part of the JSON that is returned for an HTTP event."""
    limit_bytes = LOAD_BALANCER_MAX_BYTES if "elb" in event["requestContext"] else MAX_BYTES
    return limit_bytes - ENVELOPE_BYTES


def too_large(limit_bytes: int, hint: str = HINT) -> ResponseTooLargeError:
    """Return the error of a response that is too large."""
    return ResponseTooLargeError(
        f"the response may have at most {limit_bytes} bytes as text in JSON, or as base64, and has more",
        hint=hint,
    )


def require_fitting_items(response: Mapping[str, Any]) -> None:
    """Raise `ResponseTooLargeError` if a response of lists is too large for a direct invocation.

    The items are encoded one by one, so that the encoding of a response that is too large never exists.
    """
    limit_bytes = MAX_BYTES - ENVELOPE_BYTES
    size_bytes = 0
    for items in response.values():
        for item in items if isinstance(items, list) else (items,):
            size_bytes += len(json.dumps(item)) + len(", ")
            if size_bytes > limit_bytes:
                raise too_large(limit_bytes)
