from __future__ import annotations

import sys

import pytest


@pytest.fixture
def without_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the import of PyAV fail, as without the extra `formats`."""
    monkeypatch.setitem(sys.modules, "av", None)
