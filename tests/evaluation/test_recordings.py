"""Labelled recordings: folders, tables, and malformed ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audio_classifier.errors import InvalidParameterError, NoInputError
from audio_classifier.evaluation.recordings import LabelledEvent, LabelledRecordings, read_recordings


def table(tmp_path: Path, text: str | bytes) -> LabelledRecordings:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recordings(path)


def test_subfolders_are_labels(tmp_path: Path) -> None:
    for name in ("Dog/a.wav", "Dog/deeper/b.flac", "Rain/c.ogg", "Rain/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_recordings(tmp_path)
    assert [(os.path.relpath(one.path, tmp_path), *one.labels) for one in found.recordings] == [
        ("Dog/a.wav", "Dog"),
        ("Dog/deeper/b.flac", "Dog"),
        ("Rain/c.ogg", "Rain"),
    ]
    assert (found.labels, found.has_times) == (["Dog", "Rain"], False)


def test_file_outside_of_subfolders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(InvalidParameterError, match=r"a\.wav: expected audio files in subfolders"):
        read_recordings(tmp_path)


def test_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoInputError):
        read_recordings(tmp_path)


def test_rows_of_one_path_are_merged(tmp_path: Path) -> None:
    text = "\ufeffpath,label,note\na.wav,Dog;Bark,x\n./a.wav, Dog ,y\nb.wav,,\n"
    found = table(tmp_path, text).recordings
    assert [(Path(one.path).name, sorted(one.labels)) for one in found] == [
        ("a.wav", ["Bark", "Dog"]),
        ("b.wav", []),
    ]
    assert found[0].path == str(tmp_path / "a.wav")


def test_times_are_read_and_repeated_events_are_merged(tmp_path: Path) -> None:
    text = "path,label,start,end\na.wav,Dog,0,1.5\na.wav,Dog,0,1.5\na.wav,Rain,2,3\nb.wav,,,\n"
    found = table(tmp_path, text)
    assert found.has_times
    assert found.recordings[0].events == (LabelledEvent("Dog", 0, 1.5), LabelledEvent("Rain", 2, 3))
    assert found.recordings[1].events == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with path, label"),
        ("file,label\na,b\n", "expected a header with path, label"),
        ("path,label\na.wav\n", "line 2: expected 2 fields"),
        ("path,label\na.wav,Dog,x\n", "line 2: expected 2 fields"),
        ("path,label\n,Dog\n", "expected a path"),
        ("path,label\na\0b,Dog\n", "expected a path|NUL"),
        ('path,label\n"a.wav,Dog\n', "expected CSV"),
        (b"path,label\n\xff,Dog\n", "expected CSV in UTF-8"),
        ("path,label\n" + "a" * 200_000 + ",Dog\n", "expected CSV"),
        ("path,label,start,end\na.wav,Dog,x,1\n", "expected start and end in seconds, got 'x'"),
        ("path,label,start\na.wav,Dog,1\n", "expected start and end in seconds"),
        ("path,label,start,end\na.wav,Dog,2,1\n", "0 <= start < end, got 2 and 1"),
        ("path,label,start,end\na.wav,Dog,-1,1\n", "0 <= start < end"),
        ("path,label,start,end\na.wav,Dog,0,inf\n", "0 <= start < end"),
        ("path,label,start,end\na.wav,Dog,nan,1\n", "0 <= start < end"),
    ],
)
def test_malformed_table_is_refused_with_line_and_reason(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        table(tmp_path, text)


@pytest.mark.parametrize("text", ["path,label\n", "path,label\na.wav,\n", "path,label\na.wav,;\n"])
def test_table_without_labels_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="expected labelled recordings, found none"):
        table(tmp_path, text)
