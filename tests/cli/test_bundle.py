from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from audio_classifier.cli.parser import build_parser
from audio_classifier.model.bundle import Bundle
from tests.cli.commands import COMMAND, run


def test_bundle_is_shown_and_verified(
    compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bundle", "show", "compact") == 0
    summary = capsys.readouterr().out
    assert summary.startswith("compact ")
    assert re.search(r"^classes +527$", summary, re.MULTILINE)
    assert Bundle.open(compact).digest in summary
    assert re.search(r"and \d+ more, which --json lists", summary)
    assert run("bundle", "show", "compact", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["digest"]) == ("compact", Bundle.open(compact).digest)
    copy = shutil.copytree(compact, tmp_path / "copy")
    assert run("bundle", "verify", copy) == 0
    assert "4 files" in capsys.readouterr().out
    (copy / "head.npz").write_bytes(b"")
    assert run("bundle", "verify", copy) == 2
    assert re.search(r"head\.npz: expected \d+ bytes .*, got 0", capsys.readouterr().err)


def test_bundle_is_copied_to_a_new_directory_only(
    compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    assert run("bundle", "copy", "compact", copy) == 0
    assert str(copy) in capsys.readouterr().out
    assert Bundle.open(copy).digest == Bundle.open(compact).digest
    assert {path.name for path in copy.iterdir()} == {path.name for path in compact.iterdir()}
    assert run("bundle", "copy", "compact", copy) == 2
    assert "already exists" in capsys.readouterr().err


def test_import_max_names_the_missing_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.convert.import_max.find_spec", lambda module: None)
    assert run("bundle", "import-max", tmp_path / "max") == 2
    assert "pip install 'serverless-audio-classifier[convert]'" in capsys.readouterr().err


def test_import_max_accepts_several_sources_after_the_directory() -> None:
    parser = build_parser()
    usage = re.sub(r"\s+", " ", subprocess.run(
        [COMMAND, "bundle", "import-max", "--help"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    assert "import-max OUT_DIR [-h] [--from SOURCE ...]" in usage
    arguments = ["bundle", "import-max", "out", "--from", "a", "b", "--from", "c"]
    assert parser.parse_args(arguments).sources == ["a", "b", "c"]
