from __future__ import annotations

import json
from pathlib import Path

import pytest

from audio_classifier.cli.search import split_query
from tests.cli.commands import run
from tests.support.own_bundles import make_own_bundle


@pytest.fixture(scope="module")
def embeddings(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embeddings") / "x.npz"
    names = [assets / f"{name}.wav" for name in ("rain", "siren", "town")]
    assert run("embed", *names, "-o", path) == 0
    return path


def test_moment_finds_itself_first(
    embeddings: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = f"{assets / 'town.wav'}@0:05"
    assert run("search", query, embeddings, "--json", "--top-k", 3) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["query"] == query
    first, *others = printed["matches"]
    assert (first["file"], first["start_s"]) == (str(assets / "town.wav"), 4.8)
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert len(others) == 2
    assert all(-1 <= match["similarity"] < first["similarity"] for match in others)


def test_recording_finds_similar_moments_in_a_table(
    embeddings: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", assets / "siren.wav", embeddings) == 0
    headings, *rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert headings == ["SIMILARITY", "TIME", "FILE"]
    assert len(rows) == 10
    similarities = [float(row[0]) for row in rows]
    assert similarities == sorted(similarities, reverse=True)
    assert sum(row[2] == str(assets / "siren.wav") for row in rows) >= 5


def test_embeddings_of_another_bundle_are_refused(
    embeddings: Path, assets: Path, compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = make_own_bundle(compact, tmp_path / "own")
    assert run("search", assets / "rain.wav", embeddings, "--bundle", own) == 2
    error = capsys.readouterr().err
    assert "x.npz was computed by the bundle compact " in error
    assert "and the query by own 1 " in error
    assert "--bundle" in error


@pytest.mark.parametrize(
    ("query", "code"), [("gone.wav", "os_error"), ("town.wav@99", "start_beyond_end"), ("labels.csv", "")]
)
def test_unusable_query_fails(
    query: str, code: str, embeddings: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", assets / query, embeddings, "--json") == 1
    printed = capsys.readouterr()
    assert f"{query}: " in printed.err
    body = json.loads(printed.out)
    assert body.keys() == {"query", "status", "code", "message", "hint"}
    assert body["code"] == (code or "unsupported_format")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rain.wav", "rain.wav"], "EMBEDDINGS: "),
        (["rain.wav", "gone.npz"], "No such file"),
        (["rain.wav", "x.npz", "--top-k", "0"], "--top-k: must be at least 1, got 0"),
        (["rain.wav@-1", "x.npz"], "QUERY: the time must be at least 0 s"),
        (["bundles", "x.npz"], "QUERY: expected one recording, got the folder bundles"),
    ],
)
def test_command_that_cannot_run_fails(
    arguments: list[str],
    message: str,
    embeddings: Path,
    assets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(assets)
    given = [str(embeddings) if argument == "x.npz" else argument for argument in arguments]
    assert run("search", *given) == 2
    assert message in capsys.readouterr().err


def test_time_is_split_from_the_name(tmp_path: Path) -> None:
    assert split_query("a.wav@1:30") == ("a.wav", 90)
    assert split_query("a@b.wav@5.5s") == ("a@b.wav", 5.5)
    for name in ("a.wav", "a@b.wav", "@5", "https://user@host/a.wav"):
        assert split_query(name) == (name, None)
    existing = tmp_path / "take@5"
    existing.touch()
    assert split_query(str(existing)) == (str(existing), None)
    assert split_query(f"{existing}@5") == (str(existing), 5)
