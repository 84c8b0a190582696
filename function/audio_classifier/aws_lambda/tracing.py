"""Report the stages of the work to AWS X-Ray, as subsegments of the invocation's trace.

The daemon that Lambda runs receives `datagrams with a JSON document
<https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon>`_.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import Final

from audio_classifier.inference.clip import Classification
from audio_classifier.service.log_context import log_fields

HEADER: Final = b'{"format": "json", "version": 1}\n'
TRACE_VARIABLE: Final = "_X_AMZN_TRACE_ID"  # set by the runtime client before each invocation
DAEMON_VARIABLE: Final = "AWS_XRAY_DAEMON_ADDRESS"  # host and port, set by Lambda


class Traces:
    """An observer of the classifier that sends a subsegment for each stage of a sampled invocation.

    Datagrams are sent without waiting; those that cannot be sent are lost.
    """

    def model_loaded(self, seconds: float) -> None:
        """Do nothing: Lambda reports the initialisation."""

    def clip_classified(self, classification: Classification) -> None:
        """Send the stages of a clip, which followed each other until now."""
        end_s = time.time()
        for stage, seconds in reversed(classification.seconds.items()):
            _send(stage, end_s - seconds, end_s)
            end_s -= seconds

    def recording_analyzed(self, analyzed_s: float) -> None:
        """Do nothing: `stage_ended` reports the time."""

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Send another stage, which has just ended."""
        end_s = time.time()
        _send(stage, end_s - seconds, end_s)


def _send(stage: str, start_s: float, end_s: float) -> None:
    fields = (field.strip().partition("=") for field in os.environ.get(TRACE_VARIABLE, "").split(";"))
    trace = {name: value for name, _, value in fields}
    host, _, port = os.environ.get(DAEMON_VARIABLE, "").rpartition(":")
    if not port.isdecimal() or trace.get("Sampled") != "1" or not {"Root", "Parent"} <= trace.keys():
        return
    subsegment = {
        "type": "subsegment",
        "name": stage,
        "id": os.urandom(8).hex(),
        "trace_id": trace["Root"],
        "parent_id": trace["Parent"],
        "start_time": start_s,
        "end_time": end_s,
        # Not annotations, of which a trace may have only 50.
        "metadata": {"audio_classifier": dict(log_fields())},
    }
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.setblocking(False)
        daemon.sendto(HEADER + json.dumps(subsegment).encode(), (host, int(port)))
