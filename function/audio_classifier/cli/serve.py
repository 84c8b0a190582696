"""``serve``: answer over HTTP."""

from __future__ import annotations

import argparse
from typing import Any, Final

from audio_classifier.cli.common import EXIT_OK, read_settings
from audio_classifier.errors import MissingExtraError

MAX_PORT: Final = 65535
DRAIN_S: Final = 30  # for requests under way when the server is told to stop


def add(commands: Any) -> None:
    """The command's options."""
    serve = commands.add_parser("serve", help="answer over HTTP (extra: serve)")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1; 0.0.0.0 for all)")
    serve.add_argument("--port", type=_port, default=5000, help="(default: 5000)")


def _serve(args: argparse.Namespace) -> int:
    try:
        import uvicorn

        from audio_classifier.server.app import create_app
        from audio_classifier.service.shared_classifier import Service
    except ImportError as error:
        raise MissingExtraError("serving over HTTP", "serve") from error

    app = create_app(Service(read_settings()))
    uvicorn.run(app, host=args.host, port=args.port, timeout_graceful_shutdown=DRAIN_S, server_header=False)
    return EXIT_OK


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to {MAX_PORT}")
    return port
