"""Decide which of two states of an object is newer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from audio_classifier.s3.notifications import SEQUENCER


def is_newer(
    existing: Mapping[str, Any], source: Mapping[str, Any], is_current: Callable[[Mapping[str, Any]], bool]
) -> bool:
    """Return whether the object of a stored result is newer than another state of the same key.

    The sequencers of S3's events decide if both are known, otherwise the times of the last modification.  S3
    reports these in seconds: of two states of the same second, the current one is the newer one.

    Parameters
    ----------
    existing, source
        The identities of both states: ``last_modified``, and ``sequencer`` if it is known.
    is_current
        Returns whether an identity is that of the key's current object.
    """
    if is_same_state(existing, source):
        return False
    existing_order, order = _order(existing), _order(source)
    if existing_order is not None and order is not None and existing_order != order:
        return existing_order > order
    existing_time, time = str(existing.get("last_modified", "")), str(source["last_modified"])
    if existing_time != time:
        return existing_time > time
    return is_current(existing)


def is_same_state(existing: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    """Return whether two identities are those of the same version with the same content."""
    return all(existing.get(name) == source[name] for name in ("version_id", "etag"))


def result_state(source: Mapping[str, Any], model: Mapping[str, Any]) -> list[Any]:
    """Return what determines the result of an object: the object's version, and the model."""
    state = [source.get(name) for name in ("bucket", "key", "version_id", "etag")]
    return [*state, *(model.get(name) for name in ("digest", "reader", "thresholds"))]


def _order(source: Mapping[str, Any]) -> int | None:
    """Return a sequencer as a number.

    AWS compares sequencers as text, after the shorter one is padded with zeros on the left ("Event message
    structure" in the user guide of S3), which is the order of these numbers.
    """
    text = source.get("sequencer")
    return int(text, 16) if isinstance(text, str) and SEQUENCER.fullmatch(text) else None
