from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier.errors import InvalidParameterError, NoInputError
from audio_classifier.own_classes.sounds import LabelledSpan, find_sounds


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_folders_are_classes_and_their_subfolders_groups(tmp_path: Path) -> None:
    touch(tmp_path, "sounds/dog/a.wav", "sounds/dog/monday/b.wav", "sounds/cat;indoors/monday/c.wav")
    touch(tmp_path, "others/d.wav", "others/monday/e.wav", "others/notes.txt")
    found = find_sounds(tmp_path / "sounds", negatives=tmp_path / "others")
    described = {Path(one.path).name: (sorted(one.labels), one.group.split("/")[-1]) for one in found}
    assert described == {
        "a.wav": (["dog"], "a.wav"),
        "b.wav": (["dog"], "monday"),
        "c.wav": (["cat", "indoors"], "monday"),
        "d.wav": ([], "d.wav"),
        "e.wav": ([], "monday"),
    }
    assert [one.is_negative for one in found] == [False, False, False, True, True]


def test_table_has_spans_groups_and_negatives(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "path,label,start,end,group",
        "a.wav,dog,1,2.5,may",
        "a.wav,cat;dog,4,5,may",
        "b.wav,dog,,,",
        "c.wav,,,,june",
    )
    first, second, third = find_sounds(path)
    assert first.spans == (
        LabelledSpan(frozenset({"dog"}), 1, 2.5),
        LabelledSpan(frozenset({"dog", "cat"}), 4, 5),
    )
    assert (first.group, {*first.all_labels}, first.is_negative) == ("may", {"dog", "cat"}, False)
    assert ({*second.labels}, second.group) == ({"dog"}, str(tmp_path / "b.wav"))
    assert (third.is_negative, third.group) == (True, "june")


def test_paths_of_a_table_are_relative_to_the_folder_of_sounds(tmp_path: Path) -> None:
    path = table(tmp_path, "path,label", "a.wav,dog")
    (one,) = find_sounds(tmp_path / "sounds", labels=path)
    assert one.path == str(tmp_path / "sounds" / "a.wav")


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["path"], "expected a header with path, label"),
        (["path,label", ",dog"], "line 2: expected a path"),
        (["path,label,start,end", "a.wav,dog,1,"], "line 2: expected start and end"),
        (["path,label,start,end", "a.wav,dog,2,1"], "line 2: expected 0 <= start < end"),
        (["path,label,start,end", "a.wav,dog,1,2", "a.wav,cat,,"], "a.wav has rows with start and end"),
        (["path,label,group", "a.wav,dog,x", "a.wav,cat,y"], "line 3: expected the group 'x'"),
    ],
)
def test_malformed_table_is_refused_with_the_line(tmp_path: Path, lines: list[str], match: str) -> None:
    with pytest.raises(InvalidParameterError, match=match):
        find_sounds(table(tmp_path, *lines))


def test_file_outside_the_folders_of_classes_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.wav", "b.wav")
    with pytest.raises(InvalidParameterError, match=r"b\.wav: expected audio files in subfolders"):
        find_sounds(tmp_path)


def test_only_negatives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="expected labelled recordings"):
        find_sounds(table(tmp_path, "path,label", "a.wav,"))


def test_empty_folder_of_negatives_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "sounds/dog/a.wav", "others/notes.txt")
    with pytest.raises(NoInputError):
        find_sounds(tmp_path / "sounds", negatives=tmp_path / "others")


def test_negatives_inside_the_folder_of_classes_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "sounds/dog/a.wav", "sounds/none/b.wav")
    with pytest.raises(InvalidParameterError, match="negatives: expected a folder outside"):
        find_sounds(tmp_path / "sounds", negatives=tmp_path / "sounds" / "none")
