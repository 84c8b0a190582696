"""Run the HTTP server on a local port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from audio_classifier.server.app import create_app
from audio_classifier.server.connections import bound_sockets, server_options
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier


@contextmanager
def serving(**changes: Any) -> Iterator[tuple[str, SharedClassifier]]:
    """Serve with changed settings, and yield the server's URL and its service."""
    service = SharedClassifier(replace(Settings.from_environment({}), **changes))
    with running(create_app(service)) as address:
        yield address, service


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve an application as `serve` does, and yield the server's URL."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **server_options()))
    sockets = bound_sockets("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
            assert thread.is_alive()
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
