from __future__ import annotations

import errno

import pytest

from audio_classifier.cli.errors import describe
from audio_classifier.errors import (
    ArtifactNotFoundError,
    AudioClassifierError,
    InvalidParameterError,
    OutputError,
    ResultConflictError,
    UnknownLabelError,
    UnreadableAudioError,
)


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("start_s", "--start-time"),
        ("label", "--filter"),
        ("exclude", "--exclude"),
        ("audio", "FILE"),
        ("x", "x"),
    ],
)
def test_parameter_of_the_library_is_named_by_its_option(parameter: str, name: str) -> None:
    body = describe(InvalidParameterError(parameter, "must be at least 0, got -1"))
    assert body["message"] == f"{name}: must be at least 0, got -1"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            UnknownLabelError("label", "no class"),
            "`audio-classifier labels` lists all classes, with --groups also the groups.",
        ),
        (ResultConflictError("x"), "Name another --output."),
        (
            OutputError("x"),
            "Free some space, or name another --output; results that are stored are not computed again.",
        ),
        (
            ArtifactNotFoundError("x"),
            "Download the files by hand, and name their folder or archive with --from.",
        ),
        (UnreadableAudioError("x"), "Use a WAV, FLAC, OGG or MP3 file."),
        (UnknownLabelError("label", "no class", hint="Did you mean 'Dog'?"), "Did you mean 'Dog'?"),
        (AudioClassifierError("x"), ""),
    ],
)
def test_hint_is_that_of_the_error_or_of_the_command_line(error: AudioClassifierError, hint: str) -> None:
    assert describe(error)["hint"] == hint


def test_error_of_the_system_is_described_without_its_number() -> None:
    body = describe(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.wav"))
    assert body == {
        "status": "error", "code": "os_error", "message": "No such file or directory", "hint": "",
    }  # fmt: skip
