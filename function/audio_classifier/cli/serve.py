"""``serve``: serve HTTP."""

from __future__ import annotations

import argparse
from typing import Any, Final

from audio_classifier.cli.common import EXIT_OK, read_settings
from audio_classifier.errors import MissingExtraError

MAX_PORT: Final = 65535
DRAIN_S: Final = 30  # for requests in progress when the server stops


def add(commands: Any) -> None:
    """Add the command to the parser."""
    serve = commands.add_parser("serve", help="serve the HTTP API (extra: serve)")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1; 0.0.0.0 for all interfaces)")
    serve.add_argument("--port", type=_port, default=5000, help="(default: 5000)")


def _serve(args: argparse.Namespace) -> int:
    try:
        import uvicorn

        from audio_classifier.server.app import create_app
        from audio_classifier.server.connections import permit_open_files, server_options
        from audio_classifier.server.logs import log_config
        from audio_classifier.service.shared_classifier import SharedClassifier
    except ImportError as error:
        raise MissingExtraError("serving over HTTP", "serve") from error

    app = create_app(SharedClassifier(read_settings()))
    permit_open_files()
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_config=log_config(),
        timeout_graceful_shutdown=DRAIN_S,
        **server_options(),
    )
    return EXIT_OK


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {MAX_PORT}, got {text}")
    return port
