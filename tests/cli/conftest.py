from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, assets: Path) -> Path:
    """A folder with two recordings, one of them in a folder below, a broken one, and files to ignore."""
    folder = tmp_path / "recordings"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(assets / "rain.wav", folder)
    shutil.copy(assets / "siren.wav", folder / "deeper" / "SIREN.WAV")
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("none")
    (folder / ".hidden.wav").write_bytes(b"")
    return folder
