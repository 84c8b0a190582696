"""Generate the sample events with `sam local generate-event`: ``make events``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
GENERATED: Final = {
    "s3": ("s3", "put", "--bucket", "uploads", "--key", "in/rain.wav"),
    "http_api": ("apigateway", "http-api-proxy"),
    "rest_api": ("apigateway", "aws-proxy"),
    "load_balancer": ("alb", "request"),
    "sqs": ("sqs", "receive-message"),
    "sns": ("sns", "notification"),
}


def generate(*arguments: str) -> Any:
    command = ["sam", "local", "generate-event", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    for name, arguments in GENERATED.items():
        (HERE / f"{name}.json").write_text(
            json.dumps(generate(*arguments), indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
