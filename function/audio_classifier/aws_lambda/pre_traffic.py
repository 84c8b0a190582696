"""Test new versions of the functions before CodeDeploy shifts traffic to them.

CodeDeploy invokes `handler` with the identifiers of a deployment, and shifts traffic only if it reports
``Succeeded``.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from typing import Any, Final

from audio_classifier.assets import asset_path

logger = logging.getLogger(__name__)

# Environment variables with the ARNs of the versions.
API_VERSION: Final = "API_VERSION"
UPLOAD_VERSION: Final = "UPLOAD_VERSION"
SAMPLE: Final = "dial-tone.wav"
# A new version may have to load its model from S3 first.  Both versions together must be tested within the
# time limit of this function, or CodeDeploy waits an hour for its report.
READ_TIMEOUT_S: Final = 100
# Uploads can use up the concurrency of their function for a moment.
RETRIES_S: Final = 40
RETRY_INTERVAL_S: Final = 2


class RejectedVersionError(Exception):
    """A version did not answer as expected."""


def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
    """Let the new versions classify a sample, and report the outcome to CodeDeploy.

    Parameters
    ----------
    event
        The event of CodeDeploy, with ``DeploymentId`` and ``LifecycleEventHookExecutionId``.

    Returns
    -------
    dict
        The reported ``status``, and ``errors``: a message for each version that failed.
    """
    import boto3

    errors = _test_versions()
    for error in errors:
        logger.error(error)
    status = "Failed" if errors else "Succeeded"
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return {"status": status, "errors": errors}


def _test_versions() -> list[str]:
    errors = []
    for name, test in ((API_VERSION, _test_api), (UPLOAD_VERSION, _test_uploads)):
        try:
            test(os.environ[name])
        except Exception as error:  # noqa: BLE001  # CodeDeploy waits an hour for a report, so any error must become one
            errors.append(f"{name} {os.environ.get(name)}: {type(error).__name__}: {error}")
    return errors


def _test_api(version: str) -> None:
    """Send a request for ``POST /model/predict``, as an HTTP API does."""
    request = {"method": "POST", "path": "/model/predict", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
    response = _invoke(
        version,
        {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": request["path"],
            "rawQueryString": "",
            "headers": {"content-type": "audio/wav"},
            "requestContext": {"http": request, "stage": "$default"},
            "body": _sample(),
            "isBase64Encoded": True,
        },
    )
    if response.get("statusCode") != 200:
        raise RejectedVersionError(f"expected the status 200, got {_shortened(response)}")
    _check_predictions(json.loads(response["body"]))


def _test_uploads(version: str) -> None:
    """Send a recording directly: it is classified like an object, but without S3."""
    _check_predictions(_invoke(version, {"audio_base64": _sample()}))


def _invoke(version: str, event: dict[str, Any]) -> Any:
    import boto3
    from botocore.config import Config

    # botocore would repeat calls that exceed the time limit, too.
    config = Config(read_timeout=READ_TIMEOUT_S, retries={"total_max_attempts": 1})
    client = boto3.client("lambda", config=config)
    temporary = (
        client.exceptions.TooManyRequestsException,
        client.exceptions.ServiceException,
        client.exceptions.ResourceNotReadyException,
        client.exceptions.SnapStartNotReadyException,
    )
    deadline = time.monotonic() + RETRIES_S
    while True:
        try:
            response = client.invoke(FunctionName=version, Payload=json.dumps(event))
            break
        except temporary:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_INTERVAL_S)
    answer = json.load(response["Payload"])
    if "FunctionError" in response:
        raise RejectedVersionError(f"expected an answer, got the error {_shortened(answer)}")
    return answer


def _check_predictions(answer: Any) -> None:
    """Models have different classes, so any prediction is accepted."""
    predictions = answer.get("predictions")
    if answer.get("status") != "ok" or not predictions:
        raise RejectedVersionError(f"expected predictions, got {_shortened(answer)}")


def _sample() -> str:
    return base64.b64encode(asset_path(SAMPLE).read_bytes()).decode()


def _shortened(answer: Any) -> str:
    return json.dumps(answer)[:500]
