"""``serve``: serve HTTP."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

from audio_classifier.cli.arguments import add_bundle, add_command
from audio_classifier.cli.common import EXIT_OK, read_settings
from audio_classifier.errors import MissingExtraError

MAX_PORT: Final = 65535
DRAIN_S: Final = 30  # for requests in progress when the server stops


def add(commands: Any) -> None:
    """Add the command to the parser."""
    serve = add_command(
        commands,
        "serve",
        help="serve the HTTP API (extra: serve)",
        examples=(
            "serve",
            "serve --bundle models/mn04 --host 0.0.0.0 --port 8080",
        ),
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1; 0.0.0.0 for all interfaces)")
    serve.add_argument("-p", "--port", type=_port, default=5000, help="(default: 5000)")
    add_bundle(serve)


def _serve(args: argparse.Namespace) -> int:
    from audio_classifier.hub.bundles import require_local_bundle

    settings = read_settings()
    if args.bundle:
        settings = replace(settings, bundle=args.bundle)
    require_local_bundle(settings.bundle)
    try:
        import uvicorn

        from audio_classifier.server.app import create_app
        from audio_classifier.server.connections import bound_sockets, permit_open_files, server_options
        from audio_classifier.server.logs import log_config
        from audio_classifier.service.shared_classifier import SharedClassifier
    except ImportError as error:
        raise MissingExtraError("serving over HTTP", "serve") from error

    app = create_app(SharedClassifier(settings))
    permit_open_files()
    config = uvicorn.Config(
        app, log_config=log_config(), timeout_graceful_shutdown=DRAIN_S, **server_options()
    )
    sockets = bound_sockets(args.host, args.port)
    _log_addresses(args.host, sockets[0].getsockname()[1], settings.disabled_routes)
    uvicorn.Server(config).run(sockets)
    return EXIT_OK


def _log_addresses(host: str, port: int, disabled_routes: Collection[str]) -> None:
    """Log where the server, its demo page and its API page are."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    url = f"http://{name}:{port}"
    pages = {"demo": f"demo page: {url}/demo", "docs": f"API page: {url}/"}
    log = logging.getLogger(__name__)
    log.info("serving on %s", url)
    for route, page in pages.items():
        if route not in disabled_routes:
            log.info("%s", page)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {MAX_PORT}, got {text}")
    return int(text)
