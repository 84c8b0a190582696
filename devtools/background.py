"""HTTP servers that run in a background thread."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from typing import Self


class BackgroundServer:
    """Context manager that serves HTTP in a background thread."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class QuietServer(ThreadingHTTPServer):
    """Threaded HTTP server that does not print errors of connections."""

    daemon_threads = True
    request_queue_size = 128  # connections of a burst that do not fit into the queue wait for a second

    def handle_error(self, *_: object) -> None:
        """Ignore the error, because tests disconnect clients on purpose."""
