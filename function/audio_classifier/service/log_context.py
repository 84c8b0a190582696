"""Fields of all log entries that are written for one request or one object, such as their IDs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

# The key of the ASGI scope for the ID that the platform gives a request; there may be none.
REQUEST_ID_KEY: Final = "audio_classifier.request_id"
# The fields.
REQUEST_ID_FIELD: Final = "request_id"
OBJECT_FIELD: Final = "object"

_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=MappingProxyType({}))


def add_log_fields(**fields: str) -> None:
    """Add fields to all entries of the current context: a task with its threads, or one invocation.

    They end with the context.
    """
    _fields.set({**_fields.get(), **fields})


def log_fields() -> Mapping[str, str]:
    """Return the fields of the current context."""
    return _fields.get()


class AddLogFields(logging.Filter):
    """A filter for handlers of `logging` that adds the fields to each record, as attributes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        vars(record).update(log_fields())
        return True
