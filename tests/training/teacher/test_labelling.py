from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from training.teacher.labelling import LabellingError, labelling


def test_labelling_raises_when_its_process_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def wait_for_failure() -> None:
        deadline = time.monotonic() + 60
        with labelling(tmp_path / "nothing", tmp_path / "no teacher", minutes=1, patches=1):
            while multiprocessing.active_children() and time.monotonic() < deadline:
                time.sleep(0.1)

    with pytest.raises(LabellingError, match="exited with status 1"):
        wait_for_failure()
    assert "FileNotFoundError" in capfd.readouterr().err
