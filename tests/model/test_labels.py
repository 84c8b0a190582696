from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier.errors import BundleInvalidError, UnknownLabelError
from audio_classifier.model.labels import Label, LabelSet


@pytest.fixture(scope="module")
def labels(assets: Path) -> LabelSet:
    return LabelSet.read(assets / "class_labels_indices.csv")


def test_audioset_has_527_classes(labels: LabelSet) -> None:
    assert len(labels) == 527
    assert labels[0] == Label(0, "/m/09x0r", "Speech")
    assert labels[287] == Label(287, "/m/0ngt1", "Thunder")
    assert labels[526] == Label(526, "/m/07hvw1", "Field recording")


def test_classes_equal_the_published_table(labels: LabelSet, golden_data: Path) -> None:
    assert list(labels) == list(LabelSet.read(golden_data / "class_labels_indices.csv"))


@pytest.mark.parametrize("text", ["Thunder", "thunder", " THUNDER ", "/m/0ngt1", "/M/0NGT1"])
def test_class_is_found_by_name_or_id_in_any_case(labels: LabelSet, text: str) -> None:
    assert labels.find(text).name == "Thunder"


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("Thundr", "'Thunder'"),
        ("gunshot", "'Gunshot, gunfire'"),
        ("/m/0ngt", "'Thunder'"),
        ("bark!", "'Bark'"),
        ("Birdsong", "'Bird vocalization, bird call, bird song'"),
        ("dog barking", "'Bark' or 'Dog'"),
        ("Speach", "'Speech'"),
        ("Xylofone", "'Marimba, xylophone'"),
    ],
)
def test_unknown_class_is_refused_with_similar_names(labels: LabelSet, text: str, suggestion: str) -> None:
    with pytest.raises(UnknownLabelError, match="no class is called") as caught:
        labels.find(text)
    assert suggestion in caught.value.hint


@pytest.mark.parametrize("text", ["", "qqqqqqqq"])
def test_hint_is_empty_when_no_name_is_similar(labels: LabelSet, text: str) -> None:
    with pytest.raises(UnknownLabelError) as caught:
        labels.find(text)
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        (",, ,", []),
        ("Rain", ["Rain"]),
        ("rain, thunder,", ["rain", "thunder"]),
        ("Gunshot, gunfire", ["Gunshot, gunfire"]),
        ("Rain,gunshot, GUNFIRE,/m/0ngt1", ["Rain", "gunshot, GUNFIRE", "/m/0ngt1"]),
        ("Clang,Ding", ["Clang", "Ding"]),
        ("nonsense,Rain", ["nonsense", "Rain"]),
    ],
)
def test_list_is_split_at_commas_outside_of_names(labels: LabelSet, text: str, names: list[str]) -> None:
    assert labels.split(text) == names


def test_search_finds_parts_of_names_and_ids(labels: LabelSet) -> None:
    assert [label.name for label in labels.search("THUND")] == ["Thunderstorm", "Thunder"]
    assert labels.search("/m/0ngt1") == [labels[287]]
    assert labels.search("qqqq") == []
    assert len(labels.search("")) == 527


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "header"),
        ("a,b,c\n", "header"),
        ("index,mid,display_name\n1,/m/1,One\n", "expected index 0, got 1"),
        ("index,mid,display_name\n0,/m/1\n", "values to unpack"),
        ("index,mid,display_name\nx,/m/1,One\n", "invalid literal"),
        ("index,mid,display_name\n0,/m/1,One\n1,/m/2,one\n", "'one' occurs twice"),
        ("index,mid,display_name\n0,/m/1,One\n1,/m/1,Two\n", "'/m/1' occurs twice"),
        ('index,mid,display_name\n0,/m/1,"One\nTwo"\n', "unprintable"),
        ("index,mid,display_name\n0,/m/1\x1b[2J,One\n", "unprintable"),
    ],
)
def test_invalid_table_is_refused(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(BundleInvalidError, match=match):
        LabelSet.read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"index,mid,display_name\n0,/m/1," + b"x" * 200_000])
def test_table_that_is_not_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(BundleInvalidError, match=r"labels\.csv"):
        LabelSet.read(path)
