"""Events of every kind that the function accepts, and mutations of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from tests.server.deployment import s3_notification, structured_event

Place: TypeAlias = tuple[Any, Any]  # an object or array, and a key or index in it

BUCKET, KEY = "uploads", "in/0.wav"
VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        0,
        -1,
        1e308,
        10**30,
        "",
        "\0",
        "\ud800",
        "x" * 5_000,
        "%",
        "%ff%00",
        "../x",
        "s3://uploads/in/0.wav",
    ),
    *([], {}, [[]], [None], {"": None}, "[]", "{}", "\u202e", "in/", "in/0.wav", "uploads", "results"),
)
# What clients influence in events that AWS builds; it is always text.
HTTP_FIELDS: Final = frozenset(
    (
        *("body", "headers", "multiValueHeaders", "rawPath", "path", "rawQueryString"),
        *("queryStringParameters", "multiValueQueryStringParameters"),
    )
)
MESSAGE_FIELDS: Final = frozenset(("body",))
TASK_FIELDS: Final = frozenset(("s3Key",))
# Except for headers that AWS sets.
AWS_HEADERS: Final = frozenset(("host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-for"))


def valid_events(folder: Path) -> list[Any]:
    """Return events of every kind, about an object that exists.

    Parameters
    ----------
    folder
        The folder with samples of events.
    """
    notification = s3_notification(BUCKET, KEY)
    samples = {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    queue = samples["sqs"]
    bodies = [
        notification,
        samples["event_bridge"],
        {"Message": json.dumps(notification), "Type": "Notification"},
    ]
    queues = [_with_body(queue, body) for body in bodies]
    several = {
        "Records": [{**record, "messageId": str(n)} for n in range(3) for record in queues[0]["Records"]]
    }
    events = [
        *(_about_the_object(event) for event in (*samples.values(), notification, *queues, several)),
        {"Items": [{"bucket": BUCKET, "key": KEY}], "BatchInput": {"encoding": "url"}},
        {"audio": f"s3://{BUCKET}/{KEY}", "top_k": 3},
        {"audio_base64": "UklGRg==", "start_time": "0:01"},
        {"warmup": True},
    ]
    api = samples["http_api"]
    for content in (structured_event(notification), notification):
        headers = {**api["headers"], "content-type": "application/cloudevents+json"}
        path = {
            "rawPath": "/events",
            "headers": headers,
            "isBase64Encoded": False,
            "body": json.dumps(content),
        }
        context = copy.deepcopy(api["requestContext"])
        context["http"] |= {"method": "POST", "path": "/events"}
        events.append({**api, **path, "requestContext": context})
    return events


def mutate_event(event: Any, random: Random) -> Any:
    """Return an event with one to four changes, also within JSON that is text in it."""
    event = copy.deepcopy(event)
    fields = _client_fields(event)
    for _ in range(random.choice((1, 1, 2, 4))):
        places = list(_places(event, fields))
        if fields is not None:
            _change_text(*random.choice([one for one in places if isinstance(one[0][one[1]], str)]), random)
        elif places:
            _change(*random.choice(places), random)
    return event


def _client_fields(event: Any) -> frozenset[str] | None:
    """Return the fields that clients influence; None if the event is not built by AWS."""
    if isinstance(event.get("requestContext"), dict):
        return HTTP_FIELDS
    if isinstance(event.get("tasks"), list):
        return TASK_FIELDS
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict) and "messageId" in records[0]:
        return MESSAGE_FIELDS
    return None


def _change(parent: Any, key: Any, random: Random) -> None:
    value = parent[key]
    if isinstance(value, str) and (value[:1] in ("{", "[") or random.random() < 0.2):
        _change_text(parent, key, random)
        return
    kind = random.randrange(4)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.extend([value] * random.choice((1, 20)))
    elif kind == 2:
        parent[key] = [value]
    else:
        parent[key] = copy.deepcopy(random.choice(VALUES))


def _change_text(parent: Any, key: Any, random: Random) -> None:
    """Change JSON in a text, or the text."""
    text = parent[key]
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and document and random.random() < 0.8:
        parent[key] = json.dumps(mutate_event(document, random))
        return
    position = random.randrange(len(text) + 1)
    value = str(random.choice(VALUES)).encode(errors="replace").decode()  # AWS passes no lone surrogates
    inserted = random.choice((text, value, ""))
    parent[key] = random.choice((inserted, text[:position] + inserted + text[position:], text[:position]))


def _places(value: Any, fields: frozenset[str] | None) -> Iterator[Place]:
    """Yield every place in an event; only those in ``fields`` if these are given."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        if fields is None or key in fields:
            if str(key).lower() not in AWS_HEADERS:
                yield value, key
                yield from _places(child, None)
        else:
            yield from _places(child, fields)


def _with_body(queue: Any, body: Any) -> Any:
    return {"Records": [{**queue["Records"][0], "body": json.dumps(body)}]}


def _about_the_object(event: Any) -> Any:
    """Replace the names of the sample's bucket and object."""
    text = json.dumps(event)
    for name in ("in/rain.wav", "in/a+b.wav"):
        text = text.replace(name, KEY)
    return json.loads(text)
