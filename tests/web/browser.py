"""A real browser on a real server, and an ear for what the browser complains of."""

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
REMOTE = "audio.example"  # this machine under a name that browsers do not trust as they trust localhost
ARGUMENTS = (
    "--no-sandbox",
    f"--host-resolver-rules=MAP {REMOTE} 127.0.0.1",
    "--use-fake-device-for-media-stream",
)
MICROPHONE = (
    "--use-fake-ui-for-media-stream",
    f"--use-file-for-fake-audio-capture={ROOT / 'assets' / 'siren.wav'}",
)
TELL = "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"


@dataclass
class Visit:
    """A page, and what the browser complained of there."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(TIMEOUT_MS)
        self.page.add_init_script(TELL)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)

    def expect_failure(self, words: str) -> None:
        """The browser complains of what the test brought about."""
        assert [complaint for complaint in self.complaints if words in complaint]
        self.complaints = [complaint for complaint in self.complaints if words not in complaint]

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _note(self, request: Request) -> None:
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
    """One whose user refuses whatever is asked."""
    started = launch(playwright, "--deny-permission-prompts")
    yield started
    started.close()


@pytest.fixture(scope="session")
def browser_beside_a_siren(playwright: Playwright) -> Iterator[Browser]:
    """One whose microphone hears ``siren.wav``."""
    started = launch(playwright, *MICROPHONE)
    yield started
    started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens an address; in the end nothing was complained of, and no other host was asked."""
    visits: list[tuple[Visit, str]] = []

    def opened(address: str, by: Browser = browser, **options: Any) -> Visit:
        new = Visit(by.new_page(**options))
        visits.append((new, address))
        new.page.goto(address)
        return new

    yield opened
    for visited, address in visits:
        visited.page.context.close()
        assert visited.complaints == []
        assert visited.hosts == {urlsplit(address).netloc}
