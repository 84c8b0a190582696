"""A stub of the parts of Lambda and CodeDeploy that a rollout uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.e2e.proxy import Answer, Proxy

ARN = "arn:aws:lambda:us-east-1:123456789012:function"
DEPLOYMENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}


class Deployments(Proxy):
    """Invoke functions, and record what a hook reports to CodeDeploy.

    Attributes
    ----------
    functions
        A callable for each version: from an event to an answer.
    invoked
        The invoked versions, in order.
    reports
        The calls of PutLifecycleEventHookExecutionStatus.
    throttles
        How many further invocations are throttled.
    """

    def __init__(self, functions: dict[str, Callable[[Any], Any]]) -> None:
        super().__init__("")
        self.functions = functions
        self.invoked: list[str] = []
        self.reports: list[Any] = []
        self.throttles = 0

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a client of these services."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
        }

    def own_answer(self, method: str, path: str, body: bytes) -> Answer:
        content = json.loads(body)
        if path == "/":
            self.reports.append(content)
            return Answer(200, b"{}", {"Content-Type": "application/x-amz-json-1.1"})
        version = unquote(path).removeprefix(f"/2015-03-31/functions/{ARN}:").removesuffix("/invocations")
        if version not in self.functions:
            return Answer(404, b"{}", {"x-amzn-ErrorType": "ResourceNotFoundException"})
        if self.throttles:
            self.throttles -= 1
            return Answer(429, b"{}", {"x-amzn-ErrorType": "TooManyRequestsException"})
        self.invoked.append(version)
        try:
            return Answer(200, json.dumps(self.functions[version](content)).encode())
        except Exception as error:  # noqa: BLE001  # a function may fail in any way
            report = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return Answer(200, json.dumps(report).encode(), {"X-Amz-Function-Error": "Unhandled"})
