"""HTTP/1.1 byte by byte, for clients that misbehave."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def connect(url: str, *, receive_buffer_bytes: int | None = None) -> socket.socket:
    """Connect to a server; the socket's timeout is generous."""
    parts = urlsplit(url)
    client = socket.socket()
    if receive_buffer_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    client.settimeout(20)
    client.connect((parts.hostname, parts.port))
    return client


def header(path: str, length: int, media_type: str = "audio/wav", accept: str = "*/*") -> bytes:
    """Return the header of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {media_type}", f"Accept: {accept}"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    content = b""
    try:
        while data := client.recv(1 << 16):
            content += data
    except ConnectionResetError:
        pass
    return content
