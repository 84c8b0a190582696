"""Take the screenshot of the demo page for the README: ``python -m tests.web.screenshot OUT.png``."""

from __future__ import annotations

import shutil
import sys

from playwright.sync_api import sync_playwright

from tests.support.serving import serving


def main() -> None:
    (path,) = sys.argv[1:]
    with serving() as (url, service), sync_playwright() as driver:
        service.load()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 960, "height": 800}, color_scheme="light")
        page.goto(f"{url}/demo")
        page.click('[data-sample="town.wav"]')
        page.locator("#jsonl").wait_for()
        surface = page.locator("#seek")
        surface.click(position={"x": 300, "y": 100})
        surface.blur()
        page.mouse.move(0, 0)
        bottom = page.locator("#pictures").evaluate("(card) => card.getBoundingClientRect().bottom + scrollY")
        page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": 960, "height": bottom + 20})
        browser.close()


if __name__ == "__main__":
    main()
