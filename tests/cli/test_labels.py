from __future__ import annotations

import pytest

from tests.cli.commands import run


def test_labels_lists_527_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels") == 0
    assert len(capsys.readouterr().out.splitlines()) == 527


def test_search_lists_the_classes_that_contain_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "thunder") == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["Thunderstorm", "Thunder"]


def test_search_without_a_match_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--search", "qqqq") == 1
    assert "no class name or id contains 'qqqq'" in capsys.readouterr().err
