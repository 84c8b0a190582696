"""The events that report stored results, and their publication on an event bus."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from audio_classifier.inference.record import Result, is_provisional
from audio_classifier.s3.location import S3Location
from audio_classifier.service.event_bus import EventBus
from audio_classifier.service.result_order import result_state
from audio_classifier.service.settings import Settings

SOURCE: Final = "audio-classifier"
DETAIL_TYPE: Final = "AudioClassified"
# EventBridge documents less than 256 KB for an entry.  Its targets have similar limits, and receive about 500
# bytes more.
MAX_ENTRY_BYTES: Final = 250_000
# Patterns of EventBridge compare numbers with six decimal places.
DECIMALS: Final = 6
SOURCE_FIELDS: Final = ("bucket", "key", "version_id", "etag", "size", "last_modified", "sequencer")
MODEL_FIELDS: Final = ("bundle", "version", "digest", "reader", "thresholds")
ERROR_FIELDS: Final = ("status", "code", "message", "hint")
# What is omitted from an event that would be too long, in this order.
OMISSIBLE: Final = (("timeline", "events"), ("timeline", "classes"), ("predictions",), ("peaks",))

_log = logging.getLogger(__name__)


class ResultEvents:
    """Builds the events of results, and publishes them if a bus is configured.

    Parameters
    ----------
    settings
        The bus, and which sound events an event lists.
    """

    def __init__(self, settings: Settings) -> None:
        self._threshold = settings.sound_event_threshold
        self.bus = EventBus(settings.event_bus) if settings.event_bus else None

    def event(self, location: S3Location, result: Result, *, repeated: bool) -> dict[str, Any]:
        """Return the detail of the event that reports a stored result.

        Parameters
        ----------
        location
            Where the result is stored.
        repeated
            Whether the result was stored before, so that the event may have been published already.
        """
        detail = {
            "id": event_id(result),
            "repeated": repeated,
            **_taken(result, ERROR_FIELDS),
            **_taken(result, ("time",)),
            "source": _taken(result["source"], SOURCE_FIELDS),
            "model": _taken(result["model"], MODEL_FIELDS),
            "result": {"bucket": location.bucket, "key": location.key},
        }
        if result["status"] == "ok":
            detail["predictions"] = _rounded(result.get("predictions"))
        if isinstance(timeline := result.get("timeline"), dict):
            # A timeline in parts has the peak of each class instead of its sound events.
            name = "classes" if "parts" in timeline else "events"
            found = [one for one in _rounded(timeline.get(name)) if _is_above(one, self._threshold)]
            detail["timeline"] = {**_taken(timeline, ERROR_FIELDS), name: found}
        if result["status"] == "ok":
            detail["peaks"] = _peaks(detail)
        return _shortened(detail)

    def publish(self, location: S3Location, result: Result, *, repeated: bool) -> None:
        """Publish the event of a stored result; the parameters are those of `event`.

        Without a bus, nothing is published.

        Raises
        ------
        TransferError
            If it was not published; a retry may succeed.
        """
        if self.bus is not None:
            detail = json.dumps(self.event(location, result, repeated=repeated), separators=(",", ":"))
            self.bus.put(SOURCE, DETAIL_TYPE, detail)
            _log.info("published %s on the %s%s", location, self.bus, ", repeated" if repeated else "")


def event_id(result: Result) -> str:
    """Return an identifier that is equal for all events of a result.

    It is a hash of what makes a result final: the object and the model.  A result that only reports failed
    attempts has another one than the result that replaces it.
    """
    identity = [*result_state(result["source"], result["model"]), is_provisional(result)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _taken(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in names if record.get(name) is not None}


def _rounded(items: Any) -> list[dict[str, Any]]:
    """Return predictions or sound events with rounded numbers."""
    return [
        {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in item.items()}
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict)
    ]


def _is_above(event: Mapping[str, Any], threshold: float) -> bool:
    peak = event.get("peak")
    return isinstance(peak, int | float) and peak >= threshold


def _peaks(detail: Mapping[str, Any]) -> dict[str, float]:
    """Return the highest probability of each class that the event lists, in descending order."""
    peaks: dict[str, float] = {}
    for label, probability in _probabilities(detail):
        if isinstance(label, str) and isinstance(probability, int | float):
            peaks[label] = max(probability, peaks.get(label, 0))
    return dict(sorted(peaks.items(), key=lambda item: -item[1]))


def _probabilities(detail: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for prediction in detail.get("predictions", ()):
        yield prediction.get("label"), prediction.get("probability")
    timeline = detail.get("timeline", {})
    for found in timeline.get("events", timeline.get("classes", ())):
        yield found.get("label"), found.get("peak")


def _shortened(detail: dict[str, Any]) -> dict[str, Any]:
    """Omit lists, which the stored result has, until the event is short enough."""
    for path in OMISSIBLE:
        if _entry_bytes(detail) <= MAX_ENTRY_BYTES:
            break
        *parents, name = path
        holder = detail.get(parents[0], {}) if parents else detail
        if holder.pop(name, None) is not None:
            detail["omitted"] = [*detail.get("omitted", ()), ".".join(path)]
    return detail


def _entry_bytes(detail: dict[str, Any]) -> int:
    """Return the size of the entry as EventBridge counts it ("Calculating PutEvents event entry size")."""
    return len(SOURCE) + len(DETAIL_TYPE) + len(json.dumps(detail, separators=(",", ":")))
