"""Check docs/events.md against the code, the templates and the manifests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from audio_classifier.s3.location import S3Location
from audio_classifier.server.cloudevents import REPLY_TYPE
from audio_classifier.service.result_events import (
    DETAIL_TYPE,
    MAX_ENTRY_BYTES,
    OMISSIBLE,
    SOURCE,
    ResultEvents,
)
from audio_classifier.service.settings import Settings
from tests.infra.manifests import documents
from tests.infra.templates import load

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
PATTERN, EVENT = map(json.loads, re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL))
EXAMPLE = load(ROOT / "infra" / "examples" / "siren.yaml")
SETTINGS = Settings.from_environment({})


def test_documented_pattern_is_that_of_the_example_and_of_the_command() -> None:
    assert EXAMPLE["Resources"]["Rule"]["Properties"]["EventPattern"] == PATTERN
    assert (PATTERN["source"], PATTERN["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    (command,) = re.findall(r"--event-pattern '(.*?)'", DOCUMENT)
    assert json.loads(command) == PATTERN


def test_documented_event_is_that_of_its_result() -> None:
    location = S3Location(**EVENT["result"])
    event = ResultEvents(SETTINGS).event(location, {**EVENT, "work_seconds": 1}, repeated=False)
    assert {**event, "id": EVENT["id"]} == EVENT
    assert len(event["id"]) == len(EVENT["id"])


def test_table_of_fields_lists_every_field_of_the_event() -> None:
    rows = re.findall(
        r"^\| (`.*`) \| ", DOCUMENT.split("| field | meaning |")[1].split("\n\n")[0], re.MULTILINE
    )
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert documented == EVENT.keys() | {"code", "message", "hint", "omitted"}
    (order,) = re.findall(r"too long: (.*?); read", DOCUMENT)
    assert re.findall(r"`(.*?)`", order) == [".".join(path) for path in OMISSIBLE]


def test_documented_limits_are_those_of_the_code() -> None:
    assert f"at most {MAX_ENTRY_BYTES:,} bytes" in DOCUMENT
    assert f"`AUDIO_CLASSIFIER_SOUND_EVENT_THRESHOLD` ({SETTINGS.sound_event_threshold}," in DOCUMENT


def test_documented_parameters_exist() -> None:
    for command in re.findall(r"--parameter-overrides (.*)", DOCUMENT):
        template = EXAMPLE if "Webhook" in command else load(ROOT / "template.yaml")
        assert {*re.findall(r"(\w+)=", command)} <= template["Parameters"].keys()


def test_documented_trigger_selects_replies_and_that_of_the_overlay_does_not() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    trigger = yaml.safe_load(text)
    assert trigger["spec"]["filters"] == [{"exact": {"type": REPLY_TYPE}}]
    assert f"`{REPLY_TYPE}`" in DOCUMENT
    (created,) = (
        one
        for one in documents(ROOT / "infra" / "overlays" / "knative-events" / "trigger.yaml")
        if one["kind"] == "Trigger"
    )
    assert (created["apiVersion"], created["spec"]["broker"]) == (
        trigger["apiVersion"],
        trigger["spec"]["broker"],
    )
    (alternatives,) = created["spec"]["filters"]
    assert not any(selects(one, REPLY_TYPE) for one in alternatives["any"])


def selects(condition: dict[str, Any], kind: str) -> bool:
    exact, prefix = condition.get("exact", {}).get("type"), condition.get("prefix", {}).get("type")
    return kind == exact if exact else kind.startswith(prefix)
