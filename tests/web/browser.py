"""Open pages in a browser, and record its errors and the hosts of its requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, Request, expect, sync_playwright

ROOT = Path(__file__).parents[2]
TIMEOUT_MS = 30_000
REMOTE = "audio.example"  # this machine under a name that browsers do not treat as secure, unlike localhost
ARGUMENTS = (
    "--no-sandbox",
    f"--host-resolver-rules=MAP {REMOTE} 127.0.0.1",
    "--use-fake-device-for-media-stream",
)
MICROPHONE = (
    "--use-fake-ui-for-media-stream",
    f"--use-file-for-fake-audio-capture={ROOT / 'assets' / 'siren.wav'}",
)
LOG_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
)


@dataclass
class Visit:
    """A page, with the browser's errors and warnings and the requested hosts."""

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(TIMEOUT_MS)
        self.page.add_init_script(LOG_VIOLATIONS)
        self.page.on("console", lambda message: self._add_message(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._add_host)

    def expect_error(self, text: str) -> None:
        """Assert that the browser reported an error that the test causes, and remove it."""
        assert [error for error in self.errors if text in error]
        self.errors = [error for error in self.errors if text not in error]

    def _add_message(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(text)

    def _add_host(self, request: Request) -> None:
        if request.url.startswith(("http:", "https:")):
            self.hosts.add(urlsplit(request.url).netloc)


Open: TypeAlias = Callable[..., Visit]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as driver:
        yield driver


def launch(playwright: Playwright, *arguments: str) -> Browser:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    return playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start a browser that denies all permissions."""
    started = launch(playwright, "--deny-permission-prompts")
    yield started
    started.close()


@pytest.fixture(scope="session")
def browser_with_microphone(playwright: Playwright) -> Iterator[Browser]:
    """Start a browser whose microphone records ``siren.wav``."""
    started = launch(playwright, *MICROPHONE)
    yield started
    started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Return a function that opens a URL; finally assert that pages had no errors and used no other host."""
    visits: list[tuple[Visit, str]] = []

    def opened(address: str, by: Browser = browser, **options: Any) -> Visit:
        new = Visit(by.new_page(**options))
        visits.append((new, address))
        new.page.goto(address)
        return new

    yield opened
    for visited, address in visits:
        visited.page.context.close()
        assert visited.errors == []
        assert visited.hosts == {urlsplit(address).netloc}
