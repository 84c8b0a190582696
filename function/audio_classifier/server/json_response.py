"""JSON responses of any length, whose encoding and sending does not block the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.inference.record import warnings_record
from audio_classifier.inference.sound_events import SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.service.predict import ClipPredictions, Details, TimelineItem

SENT_BYTES: Final = 64 << 10


class JSONPieces(Response):
    """A JSON response that is sent in pieces; sending a long body at once would block the event loop."""

    media_type = "application/json"

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(headers={"Content-Length": str(sum(map(len, pieces)))})
        self.pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        buffer = bytearray()
        for piece in self.pieces:
            buffer += piece
            if len(buffer) >= SENT_BYTES:
                await send({"type": "http.response.body", "body": bytes(buffer), "more_body": True})
                buffer.clear()
        await send({"type": "http.response.body", "body": bytes(buffer), "more_body": False})


def timeline_response(items: Iterable[TimelineItem]) -> JSONPieces:
    """Encode a timeline: predictions for the clip, windows, events by their start, warnings and details.

    Each item is encoded alone and at once: `json` holds the interpreter's lock while it encodes an object,
    and the objects of a long timeline take much more memory than their encodings.
    """
    windows: list[bytes] = []
    events: list[SoundEvent] = []
    found: list[AudioWarning] = []
    head: dict[str, Any] = {"status": "ok"}
    details: dict[str, Any] = {}
    for item in items:
        if isinstance(item, Window):
            windows.append((b"," if windows else b"") + _encode(item.to_dict()))
        elif isinstance(item, AudioWarning):
            found.append(item)
        elif isinstance(item, SoundEvent):
            events.append(item)
        elif isinstance(item, ClipPredictions):
            head["predictions"] = item.to_dict()
        else:
            details = item.record
    events.sort(key=lambda event: event.start_s)
    end = _encode({"events": [event.to_dict() for event in events], **warnings_record(found), **details})
    begin = _encode(head).removesuffix(b"}") + b',"windows":['
    return JSONPieces([begin, *windows, b"],", end.removeprefix(b"{")])


def embeddings_response(items: Iterable[Embeddings | AudioWarning | Details]) -> JSONPieces:
    """Encode the embeddings of a recording, patch by patch, and warnings and details if there are any."""
    patches: list[bytes] = []
    found: list[AudioWarning] = []
    details: dict[str, Any] = {}
    for item in items:
        if isinstance(item, AudioWarning):
            found.append(item)
            continue
        if isinstance(item, Details):
            details = item.record
            continue
        for start_s, values in zip(item.start_s.tolist(), item.values.tolist(), strict=True):
            patches.append((b"," if patches else b"") + _encode({"start": start_s, "values": values}))
    rest = {**warnings_record(found), **details}
    end = _encode(rest).removeprefix(b"{")
    return JSONPieces([b'{"status":"ok","embeddings":[', *patches, b"]", (b"," if rest else b""), end])


def _encode(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
