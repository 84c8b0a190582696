from __future__ import annotations

import pickle
import re

import pytest

from audio_classifier import errors
from audio_classifier.errors import AudioClassifierError, InvalidParameterError, MissingExtraError, error_body

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
