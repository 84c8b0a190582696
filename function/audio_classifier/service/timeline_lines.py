"""Represent a timeline as newline-delimited JSON, over HTTP and in stored parts."""

from __future__ import annotations

import json
from typing import Any, Final

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.service.predict import ClipPredictions, Details, TimelineItem

MEDIA_TYPE: Final = "application/x-ndjson"
LINE_NAMES: Final = {
    ClipPredictions: "predictions",
    Window: "window",
    SoundEvent: "event",
    AudioWarning: "warning",
}


def item_line(item: TimelineItem) -> str:
    """Return the line of an item: ``{"window": {...}}``."""
    if isinstance(item, Details):
        return line(item.record)
    return line({LINE_NAMES[type(item)]: item.to_dict()})


def line(content: dict[str, Any]) -> str:
    """Return an object as a line."""
    return json.dumps(content) + "\n"
