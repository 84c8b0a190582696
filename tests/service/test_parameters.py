from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from audio_classifier import Hysteresis
from audio_classifier.errors import InvalidParameterError, describe_error
from audio_classifier.service.parameter_names import MAX_NAMES
from audio_classifier.service.parameters import (
    KNOWN_NAMES,
    REQUEST_NAMES,
    PredictParameters,
    merge_repeated,
    parse_parameters,
)


def test_defaults_are_those_of_the_library() -> None:
    parameters = parse_parameters({})
    assert parameters == PredictParameters(
        start_time=0.0,
        channel=None,
        filter="",
        exclude="",
        groups=False,
        top_k=5,
        threshold=None,
        timeline=False,
        window=2.88,
        hop=0.96,
        release=None,
        min_duration=0.0,
        details=False,
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
        ({"exclude": "a" * 5_001}, "exclude"),
        ({"exclude": 7}, "exclude"),
        ({"groups": "perhaps"}, "groups"),
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


@pytest.mark.parametrize("name", ["start_time", "window", "hop", "min_duration"])
@pytest.mark.parametrize("text", ["0:02.5", "2.5s", "0:00:02.5", " 2.5 ", 2.5])
def test_durations_may_be_text(name: str, text: str | float) -> None:
    assert getattr(parse_parameters({name: text}), name) == 2.5


def test_duration_that_is_not_understood_is_explained() -> None:
    with pytest.raises(InvalidParameterError, match=r"^start_time: must be seconds .*, got '1:99'$"):
        parse_parameters({"start_time": "1:99"})


@pytest.mark.parametrize("value", ["", " ", None])
def test_empty_value_is_the_default(value: str | None) -> None:
    assert parse_parameters(dict.fromkeys(PredictParameters.model_fields, value)) == parse_parameters({})


@pytest.mark.parametrize("name", ["filter", "exclude"])
def test_names_may_be_a_list(name: str) -> None:
    parameters = parse_parameters({name: ["Rain", "Gunshot, gunfire"]})
    assert getattr(parameters, name) == "Rain,Gunshot, gunfire"
    with pytest.raises(InvalidParameterError, match=name):
        parse_parameters({name: ["a" * 3_000, "b" * 3_000]})


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("topk", "top_k"),
        ("Top-K", "top_k"),
        ("startTime", "start_time"),
        ("Start-Time", "start_time"),
        ("start_tme", "start_time"),
        ("start_s", "start_time"),
        ("filter[]", "filter"),
        ("filters", "filter"),
        ("fitler", "filter"),
        ("excludes", "exclude"),
        ("group", "groups"),
        ("treshold", "threshold"),
        ("HOP", "hop"),
        ("minDuration", "min_duration"),
    ],
)
def test_misspelled_parameter_is_named_with_the_right_one(name: str, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        parse_parameters({"x": 1, name: "2"})
    assert caught.value.parameter == parameter
    assert repr(name) in caught.value.reason
    assert repr(parameter) in caught.value.hint


@pytest.mark.parametrize("name", ["id", "label", "shop", "top", "user_time", "audio", "filter" * 99, "é"])
def test_parameter_that_is_not_similar_to_a_known_one_is_ignored(name: str) -> None:
    assert parse_parameters({name: "2"}) == parse_parameters({})


def test_number_of_names_that_are_compared_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = Mock(return_value=False)
    monkeypatch.setattr("audio_classifier.service.parameter_names._is_one_edit", compared)
    parse_parameters({f"tr{number}": 1 for number in range(20_000)})
    assert compared.call_count <= MAX_NAMES * len(KNOWN_NAMES)


def test_repeated_filters_add_up_and_equal_values_agree() -> None:
    pairs: list[tuple[str, Any]] = [("filter", "a"), ("top_k", "2"), ("filter", "b,c"), ("filter", ["d"])]
    assert merge_repeated([*pairs, ("top_k", 2), ("top_k", "")]) == {
        "filter": ["a", "b,c", "d"],
        "top_k": "2",
    }
    assert merge_repeated([("x", 1), ("x", 2), ("filter", "a")]) == {"x": 1, "filter": "a"}
    assert merge_repeated([("exclude", "a"), ("filter", "b"), ("exclude", "c"), ("exclude", [])]) == {
        "exclude": ["a", "c"],
        "filter": "b",
    }


def test_parameter_with_two_values_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="top_k: must have one value, got '2' and '3'"):
        merge_repeated([("top_k", "2"), ("top_k", "3")])
