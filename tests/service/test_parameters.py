from __future__ import annotations

from typing import Any

import pytest

from audio_classifier import Hysteresis
from audio_classifier.errors import (
    BusyError,
    InvalidParameterError,
    UnknownLabelError,
    UnreadableAudioError,
)
from audio_classifier.service.parameters import (
    FIELDS,
    PredictParameters,
    parse_parameters,
    request_error_body,
)


def test_defaults_are_those_of_the_library() -> None:
    parameters = parse_parameters({})
    assert parameters == PredictParameters(
        start_time=0.0,
        filter="",
        top_k=5,
        threshold=None,
        timeline=False,
        window=9.6,
        hop=None,
        release=None,
        min_duration=0.0,
    )
    assert parameters.hysteresis == Hysteresis()


def test_text_is_converted_and_other_fields_are_ignored() -> None:
    parameters = parse_parameters({"top_k": "3", "timeline": "true", "audio": "s3://bucket/key"})
    assert (parameters.top_k, parameters.timeline) == (3, True)


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"start_time": -1}, "start_time"),
        ({"start_time": "nan"}, "start_time"),
        ({"filter": "a" * 5_001}, "filter"),
        ({"filter": 7}, "filter"),
        ({"top_k": 1001}, "top_k"),
        ({"threshold": 1.1}, "threshold"),
        ({"timeline": "perhaps"}, "timeline"),
        ({"window": 9.7}, "window"),
        ({"hop": 0}, "hop"),
        ({"release": -0.1}, "release"),
        ({"min_duration": "inf"}, "min_duration"),
    ],
)
def test_parameter_out_of_range_is_named(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        parse_parameters(fields)
    assert caught.value.parameter == parameter


def test_threshold_of_zero_is_not_the_default() -> None:
    assert parse_parameters({"threshold": 0}).hysteresis == Hysteresis(threshold=0)


def test_error_body_names_parameters_as_requests_do() -> None:
    for name, field in FIELDS.items():
        assert field in PredictParameters.model_fields
        body = request_error_body(InvalidParameterError(name, "is out of range"))
        assert body["message"] == f"{field}: is out of range"
    assert request_error_body(InvalidParameterError("top_k", "no"))["message"] == "top_k: no"


def test_error_body_has_the_hint_of_the_error_or_the_given_one() -> None:
    assert request_error_body(BusyError("busy"), hint="Wait.")["hint"] == "Wait."
    error = UnknownLabelError("label", "no class", hint="Did you mean 'Dog'?")
    assert request_error_body(error, hint="Wait.")["hint"] == "Did you mean 'Dog'?"
    assert request_error_body(UnreadableAudioError("no")) == {
        "status": "error",
        "code": "unreadable_audio",
        "message": "no",
        "hint": UnreadableAudioError.default_hint,
    }
