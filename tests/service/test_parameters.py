from __future__ import annotations

from typing import Any

import pytest

from audio_classifier import Hysteresis
from audio_classifier.errors import InvalidParameterError, describe_error
from audio_classifier.service.parameters import REQUEST_NAMES, PredictParameters, parse_parameters


def test_defaults_are_those_of_the_library() -> None:
    parameters = parse_parameters({})
    assert parameters == PredictParameters(
        start_time=0.0,
        channel=None,
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


@pytest.mark.parametrize(("value", "channel"), [("1", 1), (2, 2), ("mix", "mix"), (None, None)])
def test_channel_is_a_number_or_mix(value: Any, channel: Any) -> None:
    assert parse_parameters({"channel": value}).channel == channel


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "left", "1" * 5000 + "x", True])
def test_other_channels_are_refused(value: Any) -> None:
    with pytest.raises(InvalidParameterError, match="channel: must be a number from 1 on, or mix"):
        parse_parameters({"channel": value})


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


def test_requests_name_parameters_of_the_library_by_their_fields() -> None:
    for name, field in REQUEST_NAMES.items():
        assert field in PredictParameters.model_fields
        error = InvalidParameterError(name, "is out of range")
        assert describe_error(error, names=REQUEST_NAMES)["message"] == f"{field}: is out of range"
