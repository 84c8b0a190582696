from __future__ import annotations

import pytest

from tests.cli.commands import run


def test_labels_lists_527_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels") == 0
    heading, *classes = capsys.readouterr().out.splitlines()
    assert heading == "INDEX  ID             NAME"
    assert len(classes) == 527


def test_search_lists_the_classes_that_contain_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "thunder") == 0
    _, *classes = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in classes] == ["Thunderstorm", "Thunder"]


def test_search_ignores_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "Birdsong") == 0
    _, found = capsys.readouterr().out.splitlines()
    assert found.endswith("Bird vocalization, bird call, bird song")


def test_search_without_a_match_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "qqqq") == 1
    assert "no class name or id contains 'qqqq'" in capsys.readouterr().err


def test_groups_are_listed_as_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "dog", "--groups") == 0
    assert capsys.readouterr().out.splitlines() == [
        "INDEX  ID             NAME",
        "   74  /m/0bt9lr      Dog",
        "   75  /m/05tny_        Bark",
        "   76  /m/07r_k2n       Yip",
        "   77  /m/07qf0zm       Howl",
        "   78  /m/07rc7d9       Bow-wow",
        "   79  /m/0ghcn6        Growling",
        "   80  /t/dd00136       Whimper (dog)",
        "  122  /m/01z5f       Canidae, dogs, wolves",
        "   77  /m/07qf0zm       Howl",
        "   79  /m/0ghcn6        Growling",
    ]


def test_group_that_is_not_a_class_has_no_index(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "acoustic environment", "--groups") == 0
    _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == ["Acoustic", "environment"]
    assert second.startswith("  506")


def test_tree_contains_all_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--groups") == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert {int(line[:5]) for line in lines if line[:5].strip()} == {*range(527)}
    assert lines[0].split(maxsplit=1)[1] == "Human sounds"


def test_search_of_groups_without_a_match_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "chipmunk", "--groups") == 1
    assert "no class or group name or id contains 'chipmunk'" in capsys.readouterr().err
