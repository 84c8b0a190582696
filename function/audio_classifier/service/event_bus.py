"""An event bus of EventBridge, to which results are published."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any, Final

from audio_classifier.s3.client import ATTEMPTS, event_bridge_client
from audio_classifier.s3.errors import s3_errors

# botocore repeats failed requests, but not the failed entries of a request that succeeds.
TEMPORARY_CODES: Final = ("InternalException", "InternalFailure", "ThrottlingException")

_log = logging.getLogger(__name__)


class EventBus:
    """Publishes events; the client is created at its first use.

    Parameters
    ----------
    name
        The name or ARN of the bus.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Any = None
        self._is_known = False
        self._creating = threading.Lock()

    def __str__(self) -> str:
        return f"event bus {self._name}"

    def client(self) -> Any:
        """Return the client of EventBridge; the errors are those of `event_bridge_client`."""
        with self._creating:
            if self._client is None:
                self._client = event_bridge_client()
            return self._client

    def discard_client(self) -> None:
        """Discard the client; the next use creates one with new connections and current credentials."""
        with self._creating:
            self._client = None

    def put(self, source: str, detail_type: str, detail: str) -> None:
        """Publish an event.

        Raises
        ------
        AccessDeniedError
            If the deployment lacks a permission for the bus.
        MissingExtraError, TransferError
            If the event was not published; a retry may succeed.
        """
        client = self._client_of_existing_bus()
        entry = {
            "EventBusName": self._name,
            "Source": source,
            "DetailType": detail_type,
            "Detail": detail,
        }
        for attempt in range(1, ATTEMPTS + 1):
            with s3_errors(self, may_be_missing=False):
                response = client.put_events(Entries=[entry])
                if not response["FailedEntryCount"]:
                    return
                failed = response["Entries"][0]
                if attempt == ATTEMPTS or failed.get("ErrorCode") not in TEMPORARY_CODES:
                    raise _entry_error(failed)
            _log.info("%s: an event is published again after %s", self, failed["ErrorCode"])
            time.sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311

    def _client_of_existing_bus(self) -> Any:
        """Return the client; check at the first use that the bus exists.

        PutEvents succeeds for a bus that does not exist (aws-cli#9186), and the events are lost.
        """
        client = self.client()
        if not self._is_known:
            with s3_errors(self, may_be_missing=False):
                client.describe_event_bus(Name=self._name)
            self._is_known = True
        return client


def _entry_error(failed: dict[str, Any]) -> Any:
    """Return the error of an entry in the form in which botocore raises that of a request."""
    from botocore.exceptions import ClientError

    code, message = failed.get("ErrorCode", "Unknown"), failed.get("ErrorMessage", "")
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutEvents")
