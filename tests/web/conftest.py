"""Without a browser's driver, as in `make test`, these tests are not even collected."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.web.browser import browser, browser_beside_a_siren, playwright, visit  # noqa: F401
