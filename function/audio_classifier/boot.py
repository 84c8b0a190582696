"""The image's entry point: Amazon's runtime client inside Lambda, the command line elsewhere.

The image runs this module as a file.  It handles signals before it imports the rest of the package.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

HANDLER: Final = "audio_classifier.lambda_handler.handler"


def main(arguments: Sequence[str]) -> int:
    """Run Amazon's runtime client inside Lambda, and the command line elsewhere.

    Parameters
    ----------
    arguments
        Inside Lambda the name of the handler, by default `HANDLER`.  Elsewhere a command of the command
        line; by default the HTTP server, on the port in the environment variable ``PORT`` (which Knative
        and other platforms set) or on 5000.

    Returns
    -------
    int
        The exit status.
    """
    if os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        if HANDLER in (arguments or [HANDLER]):
            gc.disable()  # `lambda_handler` enables it again after all imports
        from awslambdaric.__main__ import main as run_handler

        run_handler(["awslambdaric", *(arguments or [HANDLER])])
        return 0

    # Without a handler SIGTERM does not end a container's first process; the server later sets its own.
    serves = not arguments or arguments[0] == "serve"
    signal.signal(signal.SIGTERM, _exit_at_once if serves else _raise_exit)
    from audio_classifier.cli.parser import main as run_command

    serve = ["serve", "--host", "0.0.0.0", "--port", os.environ.get("PORT") or "5000"]  # noqa: S104
    return run_command(arguments or serve)


def _exit_at_once(signal_number: int, _: object) -> NoReturn:
    """End a server without an exception, which could surface as another one in the middle of an import.

    There is nothing to clean up.  uvicorn handles signals while it serves, and sends itself the same signal
    after it has shut down.
    """
    os._exit(128 + signal_number)


def _raise_exit(signal_number: int, _: object) -> NoReturn:
    """End a command by an exception, so that it can clean up."""
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
