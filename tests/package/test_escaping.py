from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from audio_classifier.escaping import PrintableRecords, printable, printable_json

HOSTILE = "a\nb\r\x1b[2J\x9b\x7f\u202e\u2028\u200b\ud800\x00"
ESCAPED = r"a\nb\r\x1b[2J\x9b\x7f\u202e\u2028\u200b\ud800\x00"


def test_unprintable_characters_are_escaped_and_others_kept() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable(ESCAPED) == ESCAPED
    assert printable("a b/ü 音.wav \\ \"'") == "a b/ü 音.wav \\ \"'"


def test_json_is_one_printable_line_that_parses_to_the_same_value() -> None:
    value = {"message": f"ü {HOSTILE}\U000e0001", "number": 1.5}
    text = printable_json(value)
    assert text.isprintable()
    assert "ü" in text
    assert json.loads(text) == value
    assert json.loads(printable_json({"error": ValueError("no")})) == {"error": "no"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The text that the logger ``escaping-test`` writes."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(PrintableRecords())
    logger = logging.getLogger("escaping-test")
    logger.propagate = False
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)


def test_record_with_hostile_arguments_is_one_line(log: io.StringIO) -> None:
    logger = logging.getLogger("escaping-test")
    logger.info("%s in %.2f s: %s\n", HOSTILE, 1.5, ValueError("x\nERROR forged"))
    assert log.getvalue() == f"INFO {ESCAPED} in 1.50 s: x\\nERROR forged\n"


def test_mapping_and_absent_arguments_are_escaped_in_the_message(log: io.StringIO) -> None:
    logger = logging.getLogger("escaping-test")
    logger.info(f"100% {HOSTILE}")
    logger.info("%(key)s", {"key": HOSTILE})
    assert log.getvalue() == f"INFO 100% {ESCAPED}\nINFO {ESCAPED}\n"


def test_no_line_of_a_traceback_resembles_a_record(log: io.StringIO) -> None:
    try:
        raise ValueError(f"x\nERROR forged {HOSTILE}")
    except ValueError:
        logging.getLogger("escaping-test").error("failed", exc_info=sys.exc_info())
    first, *lines = log.getvalue().split("\n")
    assert first == "ERROR failed"
    assert any("ERROR forged" in line for line in lines)
    assert all(line.startswith("  ") and line.isprintable() for line in lines if line)
