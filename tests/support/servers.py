"""A small TLS file server that can delay, truncate, redirect or refuse responses."""

from __future__ import annotations

import ssl
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

import trustme

from devtools.background import BackgroundServer, QuietServer


class FileServer(BackgroundServer):
    """Serve ``folder`` at ``https://localhost:PORT``.

    Attributes
    ----------
    requests
        The requested paths, in order.
    cut_after
        The number of bytes of a body after which the connection is closed, by path.
    redirects
        The targets of redirects, by path.
    statuses
        The HTTP statuses of the next responses, by path; each is used once.
    delay_s
        The pause between pieces of a body.
    drip
        Paths whose ``header`` or ``body`` is sent one byte at a time, ten in a second, without end.
    most_at_once
        The highest number of bodies that were sent at the same time.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.requests: list[str] = []
        self.cut_after: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.statuses: dict[str, list[int]] = {}
        self.delay_s = 0.0
        self.drip: dict[str, Literal["header", "body"]] = {}
        self.stopped = threading.Event()
        self.most_at_once = self._at_once = 0
        authority = trustme.CA()
        self.ca_file = folder.parent / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server = QuietServer(("127.0.0.1", 0), partial(_Handler, server_state=self))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        super().__init__(server)
        self.url = f"https://localhost:{self.port}"

    def __exit__(self, *details: object) -> None:
        self.stopped.set()
        super().__exit__(*details)

    def count(self, change: int) -> None:
        self._at_once += change
        self.most_at_once = max(self.most_at_once, self._at_once)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, server_state: FileServer) -> None:
        self._state = server_state
        super().__init__(*args, directory=str(server_state.folder))

    def do_GET(self) -> None:
        self._state.requests.append(self.path)
        if self._state.statuses.get(self.path):
            self._answer(self._state.statuses[self.path].pop(0), **{"Retry-After": "3600"})
        elif self.path in self._state.drip:
            self._drip(self._state.drip[self.path])
        elif self.path in self._state.redirects:
            self._answer(302, Location=self._state.redirects[self.path])
        else:
            super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self._state.count(1)
        left = self._state.cut_after.get(self.path, 1 << 62)
        while chunk := source.read(min(1 << 16, left)):
            outputfile.write(chunk)
            left -= len(chunk)
            time.sleep(self._state.delay_s)
        self._state.count(-1)
        if left == 0:
            self.close_connection = True
            self.connection.close()

    def _drip(self, part: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        if part == "body":
            self.wfile.write(b"\r\nContent-Length: 1000000\r\n\r\n")
        while not self._state.stopped.wait(0.1):
            self.wfile.write(b"x")
        self.close_connection = True

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
