"""The image's one entry point: Amazon's runtime client inside Lambda, the command line elsewhere.

It is run as a file, and imports nothing of the package before it listens to signals.
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
    """Run what this place is for.

    Parameters
    ----------
    arguments
        Inside Lambda the handler, `HANDLER` if left out.  Elsewhere a command of the command line; if left
        out, it serves HTTP on the port that the variable ``PORT`` names (Knative and others set it), or on
        5000.

    Returns
    -------
    int
        The exit status.
    """
    if os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        if HANDLER in (arguments or [HANDLER]):
            gc.disable()  # until all is imported: `lambda_handler` switches it on again
        from awslambdaric.__main__ import main as run_handler

        run_handler(["awslambdaric", *(arguments or [HANDLER])])
        return 0

    # A container's first process is not ended by a signal that nobody handles; later the server does.
    serves = not arguments or arguments[0] == "serve"
    signal.signal(signal.SIGTERM, _end if serves else _exit)
    from audio_classifier.cli.parser import main as run_command

    serve = ["serve", "--host", "0.0.0.0", "--port", os.environ.get("PORT") or "5000"]  # noqa: S104
    return run_command(arguments or serve)


def _end(signal_number: int, _: object) -> NoReturn:
    """At once: an exception amid an import may come out as another one, and nothing is to be cleaned up.

    Nor later: uvicorn, which handles signals while it serves, sends itself this one when it has ended.
    """
    os._exit(128 + signal_number)


def _exit(signal_number: int, _: object) -> NoReturn:
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
