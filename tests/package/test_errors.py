from __future__ import annotations

import pickle
import re

import pytest

from audio_classifier import errors
from audio_classifier.errors import (
    AudioClassifierError,
    InvalidParameterError,
    MissingExtraError,
    describe_error,
    error_body,
)

CLASSES: list[type[AudioClassifierError]] = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, AudioClassifierError)
]


def test_docstring_draws_the_class_tree() -> None:
    drawn: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^((?:    |│   )*)(?:[├└]── )?(\w+Error)\b", line.removeprefix("    ")):
            depth = (match.start(2)) // 4
            path = [*path[:depth], match[2]]
            drawn.append((match[2], path[-2] if depth else "Exception"))
    assert sorted(drawn) == sorted((cls.__name__, cls.__mro__[1].__name__) for cls in CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_has_its_own_code(cls: type[AudioClassifierError]) -> None:
    assert [other for other in CLASSES if other.code == cls.code] == [cls]


def test_hint_is_the_argument_or_the_default_of_the_class() -> None:
    assert errors.UnreadableAudioError("no").hint == errors.UnreadableAudioError.default_hint != ""
    assert errors.UnreadableAudioError("no", hint="do this").hint == "do this"


def test_some_errors_compose_their_message() -> None:
    assert str(InvalidParameterError("top_k", "too small")) == "top_k: too small"
    assert (
        MissingExtraError("this", "convert").hint == "Run: pip install 'serverless-audio-classifier[convert]'"
    )


@pytest.mark.parametrize(
    "error",
    [
        AudioClassifierError("no", hint="do this"),
        InvalidParameterError("top_k", "too small", hint="more"),
        MissingExtraError("this", "aws"),
    ],
)
def test_error_survives_pickling(error: AudioClassifierError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)


def test_error_body_has_the_four_fields() -> None:
    assert error_body("busy", "too many", "Wait.") == {
        "status": "error", "code": "busy", "message": "too many", "hint": "Wait."
    }  # fmt: skip


def test_description_has_the_hint_of_the_error_or_of_the_entry_point() -> None:
    hints = {AudioClassifierError: "Wait.", errors.RequestError: "Ask again."}
    assert describe_error(errors.BusyError("busy"), hints=hints)["hint"] == "Ask again."
    assert describe_error(errors.BundleInvalidError("no"), hints=hints)["hint"] == "Wait."
    error = errors.UnknownLabelError("label", "no class", hint="Did you mean 'Dog'?")
    assert describe_error(error, hints=hints)["hint"] == "Did you mean 'Dog'?"


def test_description_names_parameters_as_the_entry_point_does() -> None:
    error = InvalidParameterError("top_k", "must be at least 1, got 0")
    assert describe_error(error)["message"] == "top_k: must be at least 1, got 0"
    assert (
        describe_error(error, names={"top_k": "--top-k"})["message"] == "--top-k: must be at least 1, got 0"
    )


def test_unprintable_characters_in_an_error_are_escaped() -> None:
    error = errors.TransferError("s3://a/b\nERROR forged\x1b[2J\u202e: no", hint="x\x9b")
    escaped = "s3://a/b\\nERROR forged\\x1b[2J\\u202e: no"
    assert str(error) == escaped
    assert describe_error(error) == error_body("transfer", escaped, "x\\x9b")
    invalid = InvalidParameterError("top_k", "got \n")
    assert str(invalid) == describe_error(invalid)["message"] == "top_k: got \\n"
    assert describe_error(OSError(2, "a\nb"))["message"] == "a\\nb"


def test_description_of_an_error_of_the_system_has_its_text() -> None:
    error = FileNotFoundError(2, "No such file or directory", "a.wav")
    assert describe_error(error) == error_body("os_error", "No such file or directory")
