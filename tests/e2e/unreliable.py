"""A proxy in front of S3 that answers 503 for a while, as S3 does when it is asked too much."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import requests

from tests.servers import BackgroundServer, QuietServer

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


class Unreliable(BackgroundServer):
    """Passes requests on to ``target``.

    Attributes
    ----------
    refuse
        How many more requests of each method are answered with 503.
    refused
        How many were.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.refuse: dict[str, int] = {}
        self.refused = 0
        state = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if state.refuse.get(self.command, 0) > 0:
                    state.refuse[self.command] -= 1
                    state.refused += 1
                    self.reply(503, {}, b"")
                    return
                # With the client's own Host: the signature covers it.
                answer = requests.request(
                    self.command, state.target + self.path, headers=dict(self.headers), data=body, timeout=30
                )
                headers = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
                self.reply(answer.status_code, headers, answer.content, answer.headers.get("Content-Length"))

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  # the base class asks for these

            def reply(
                self, status: int, headers: dict[str, str], body: bytes, length: str | None = None
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header(
                    "Content-Length", length if self.command == "HEAD" and length else str(len(body))
                )
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(QuietServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}"
