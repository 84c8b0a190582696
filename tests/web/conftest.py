"""Collect these tests only if playwright is installed, which it is not in `make test`."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.web.browser import browser, browser_with_microphone, playwright, visit  # noqa: F401
