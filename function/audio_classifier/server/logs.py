"""The logs of ``serve``."""

from __future__ import annotations

import copy
import logging
from typing import Any

from uvicorn.config import LOGGING_CONFIG

from audio_classifier.escaping import PrintableRecords, printable
from audio_classifier.service.log_context import log_fields


class AppendLogFields:
    """A filter for handlers of `logging` that names the request and the object in each entry's ``fields``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute, which may be empty."""
        record.fields = "".join(f" {name}={printable(value)}" for name, value in log_fields().items())
        return True


def log_config() -> dict[str, Any]:
    """Return uvicorn's configuration of `logging`, extended to other packages, without control characters."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"printable": {"()": PrintableRecords}, "fields": {"()": AppendLogFields}}
    for handler in config["handlers"].values():
        handler["filters"] = ["printable", "fields"]
    for formatter in config["formatters"].values():
        formatter["fmt"] += "%(fields)s"
    config["root"] = {"handlers": ["default"], "level": "WARNING"}
    config["loggers"]["audio_classifier"] = {"level": "INFO"}
    return config
