"""Valid HTTP requests as bytes, and mutations of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from tests.server.deployment import s3_notification, structured_event

Request: TypeAlias = tuple[list[bytes], bytes]  # the request line and the headers; the body

BOUNDARY: Final = b"frontier"
TEXTS: Final = (
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"-1",
        b"0",
        b"1e309",
        b"nan",
        b"99999999999999999999",
        b"%00",
        b"../../etc/passwd",
    ),
    *(b"s3://uploads/in/0.wav", b"s3://private/x", b"x" * 70_000, b";" * 500, b'"' * 99, b"charset=punycode"),
    *("ü\N{ZERO WIDTH SPACE}".encode(), b"\r\nX: y", b"chunked, chunked", b"gzip", b"multipart/form-data"),
    *(b"application/json", b"application/cloudevents+json", b"audio/wav"),
)
PARAMETERS: Final = (
    *(
        b"start_time",
        b"top_k",
        b"threshold",
        b"filter",
        b"timeline",
        b"window",
        b"hop",
        b"channel",
        b"unknown",
    ),
)


def valid_requests(audio: bytes) -> list[Request]:
    """Return a request of every kind."""
    event = json.dumps(structured_event(s3_notification("uploads", "in/0.wav"))).encode()
    part = (
        b'Content-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    )
    form = b"--%s\r\n%s%s\r\n--%s--\r\n" % (BOUNDARY, part, audio, BOUNDARY)
    reference = json.dumps({"audio": "s3://uploads/in/0.wav", "top_k": 3}).encode()
    multipart = b"multipart/form-data; boundary=" + BOUNDARY
    return [
        _request(b"POST /model/predict", audio, b"audio/wav"),
        _request(b"POST /model/predict?timeline=true&top_k=3", audio, b"audio/wav"),
        _request(b"POST /model/predict", form, multipart),
        _request(b"POST /model/predict", reference, b"application/json"),
        _request(b"POST /events", event, b"application/cloudevents+json"),
        _request(b"POST /uploads", b"{}", b"application/json"),
        _request(b"GET /results/in/0.wav", b"", b"text/plain"),
        _request(b"GET /model/labels", b"", b"text/plain"),
        _request(b"GET /openapi.json", b"", b"text/plain"),
    ]


def mutate_request(request: Request, audio: bytes, random: Random) -> bytes:
    """Return a request with one to three changes, most of them with the right length."""
    lines, body = list(request[0]), request[1]
    for _ in range(random.choice((1, 1, 2, 3))):
        lines, body = random.choice(MUTATIONS)(lines, body, audio, random)
    kind = random.randrange(10)
    if kind < 7:
        lines.append(b"Content-Length: %d" % len(body))
    elif kind < 9:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunked(body, random)
    else:
        lines.append(b"Content-Length: " + random.choice(TEXTS))
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def _request(start: bytes, body: bytes, media_type: bytes) -> Request:
    return [start + b" HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: " + media_type], body


def _chunked(body: bytes, random: Random) -> bytes:
    """Return the body in chunks, whose syntax is wrong now and then."""
    pieces, begin = [], 0
    while begin < len(body):
        size = random.choice((1, 100, 5_000, len(body)))
        piece = body[begin : begin + size]
        length = (
            b"%x" % len(piece) if random.random() < 0.95 else random.choice((b"-1", b"g", b"", b"f" * 20))
        )
        pieces.append(length + random.choice((b"", b";a=b")) + b"\r\n" + piece + b"\r\n")
        begin += size
        if len(pieces) > 200:
            size = len(body)
    return b"".join(pieces) + random.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b""))


def _change_header(
    lines: list[bytes], body: bytes, audio: bytes, random: Random
) -> tuple[list[bytes], bytes]:
    index = random.randrange(1, len(lines))
    name = lines[index].partition(b":")[0]
    return [*lines[:index], name + b": " + random.choice(TEXTS), *lines[index + 1 :]], body


def _add_header(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    names = (
        b"Content-Encoding",
        b"Accept",
        b"Expect",
        b"Range",
        b"ce-type",
        b"ce-specversion",
        b"X-Y",
        b"Host",
    )
    return [*lines, random.choice(names) + b": " + random.choice((*TEXTS, b"application/x-ndjson"))], body


def _many_headers(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    return [*lines, *(b"X-%d: y" % number for number in range(random.choice((10, 300))))], body


def _add_parameter(
    lines: list[bytes], body: bytes, audio: bytes, random: Random
) -> tuple[list[bytes], bytes]:
    method, _, rest = lines[0].partition(b" ")
    path, _, version = rest.rpartition(b" ")
    value = random.choice(TEXTS).replace(b"\r\n", b"%0d%0a").replace(b" ", b"+")[:4000]
    query = random.choice(PARAMETERS) + b"=" + value
    path += (b"&" if b"?" in path else b"?") + query
    return [method + b" " + path + b" " + version, *lines[1:]], body


def _change_body(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    content = bytearray(body or b"x")
    for _ in range(random.choice((1, 5, 50))):
        # Mostly at the beginning, where forms and files have their structure.
        content[min(len(content) - 1, int(random.expovariate(1 / 200)))] = random.getrandbits(8)
    return lines, bytes(content)


def _cut_body(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    return lines, body[: random.randrange(len(body) + 1)]


def _repeat_body(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    return lines, body * random.choice((2, 20))


def _insert_text(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    position = random.randrange(min(len(body), 300) + 1)
    return lines, body[:position] + random.choice((*TEXTS, b"--" + BOUNDARY, b"\r\n\r\n")) + body[position:]


def _other_body(lines: list[bytes], body: bytes, audio: bytes, random: Random) -> tuple[list[bytes], bytes]:
    return lines, random.choice((audio, b"", b"{}", b"[" * 50_000, b'{"audio": 1}', random.randbytes(5_000)))


Mutation: TypeAlias = Callable[[list[bytes], bytes, bytes, Random], tuple[list[bytes], bytes]]
MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(_change_header, _add_header, _many_headers, _add_parameter, _change_body, _cut_body, _repeat_body),
    *(_insert_text, _other_body),
)
