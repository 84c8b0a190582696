"""The logs of ``serve``."""

from __future__ import annotations

import copy
from typing import Any

from uvicorn.config import LOGGING_CONFIG

from audio_classifier.escaping import PrintableRecords


def log_config() -> dict[str, Any]:
    """Return uvicorn's configuration of `logging`, extended to other packages, without control characters."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"printable": {"()": PrintableRecords}}
    for handler in config["handlers"].values():
        handler["filters"] = ["printable"]
    config["root"] = {"handlers": ["default"], "level": "WARNING"}
    config["loggers"]["audio_classifier"] = {"level": "INFO"}
    return config
