"""Results as stores receive them."""

from __future__ import annotations

from typing import Any


def make_result(
    file: str = "a.wav", sha256: str = "1", digest: str = "m", **parameters: Any
) -> dict[str, Any]:
    return {
        "status": "ok",
        "predictions": [],
        "source": {"file": file, "size": 1, "sha256": sha256},
        "model": {"bundle": "b", "version": "1", "digest": digest},
        "parameters": parameters,
    }
