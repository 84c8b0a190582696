"""An HTTP proxy that forwards requests or answers them itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import requests

from devtools.background import BackgroundServer, QuietServer

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_length: str | None = None
    closes: bool = False  # whether the connection is closed afterwards


class Proxy(BackgroundServer):
    """Forward requests to ``target``; a subclass decides which requests it answers itself."""

    def __init__(self, target: str) -> None:
        self.target = target
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = proxy.own_answer(self.command, self.path, body)
                if answer is None:
                    answer = proxy.forward(self.command, self.path, dict(self.headers), body)
                self.close_connection = self.close_connection or answer.closes
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", answer.content_length or str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  # names of the base class

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(QuietServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}"

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        """Return an answer, or None to forward the request."""
        raise NotImplementedError

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        # The client's Host header is kept, because the request's signature covers it.
        answer = requests.request(method, self.target + path, headers=headers, data=body, timeout=30)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        length = answer.headers.get("Content-Length") if method == "HEAD" else None
        return Answer(answer.status_code, answer.content, kept, length)
