"""What the demo page says when something goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.serving import serving
from tests.web.browser import REMOTE, Open
from tests.web.test_demo import choose, classes

pytestmark = pytest.mark.web

PREDICT = "**/model/predict*"
NOT_LOADED = "Failed to load resource"


def said(page: Page) -> list[str]:
    expect(page.locator("#error")).to_be_visible()
    expect(page.locator("#result")).to_be_hidden()
    return list(page.locator("#error > *").all_inner_texts())


def test_a_text_is_no_sound(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    choose(opened.page, "a.txt", b"hello", "text/plain")
    assert said(opened.page)[0] == "Invalid file type/extension: text/plain."
    choose(opened.page, "a.wav", b"hello" * 100)
    expect(opened.page.locator("#error")).to_contain_text("sound")
    assert said(opened.page)[1]
    opened.expect_failure(NOT_LOADED)


def test_an_empty_file_is_not_sent(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    choose(page, "a.wav", b"")
    assert said(page) == ["The file is empty.", "Choose another one."]


def test_a_folder_that_is_dropped_is_no_file(visit: Open, url: str, tmp_path: Path) -> None:
    page = visit(f"{url}/demo").page
    box = page.locator("#drop").bounding_box()
    assert box is not None
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.wav").touch()
    data = {"items": [], "files": [str(tmp_path / "folder")], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send(
            "Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": data}
        )
    assert said(page) in (
        ["The file cannot be read.", "Choose another one; of a folder, one of its files."],
        ["The file is empty.", "Choose another one."],
    )


def test_a_file_that_is_too_large(visit: Open, assets: Path) -> None:
    with serving(max_upload_bytes=100_000) as (url, _):
        opened = visit(f"{url}/demo")
        choose(opened.page, "rain.wav", (assets / "rain.wav").read_bytes())
        message, hint = said(opened.page)
    assert message == "The request's body is longer than the 100000 bytes that are accepted."
    assert hint.startswith("Ten seconds count")
    opened.expect_failure(NOT_LOADED)


def test_a_server_that_is_gone(visit: Open, assets: Path) -> None:
    with serving() as (url, _):
        opened = visit(f"{url}/demo")
        # A browser's open connection would keep it.
        opened.page.goto("about:blank")
        opened.page.goto(f"{url}/demo")
        opened.page.locator("#record").wait_for()
    choose(opened.page, "rain.wav", (assets / "rain.wav").read_bytes())
    assert said(opened.page)[0] == "The server cannot be reached."
    opened.page.click('[data-sample="speech.wav"]')
    assert said(opened.page)[0] == "The server cannot be reached."
    opened.expect_failure(NOT_LOADED)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (413, "<html><h1>413 Request Entity Too Large</h1></html>", "The file is too large for this server."),
        (413, '{"message":"Request Too Long"}', "The file is too large for this server."),
        (504, '{"message": "Endpoint request timed out"}', "The server took too long."),
        (403, '{"message":"Missing Authentication Token"}', "The server does not allow it."),
        (418, "[]", "The server answered with status 418."),
    ],
)
def test_what_a_gateway_answers(visit: Open, url: str, status: int, body: str, words: str) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(PREDICT, lambda route: route.fulfill(status=status, body=body))
    opened.page.click('[data-sample="speech.wav"]')
    assert said(opened.page)[0] == words
    opened.expect_failure(NOT_LOADED)


def test_a_server_that_is_busy_is_asked_once_more(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(PREDICT, lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}), times=1)
    opened.page.click('[data-sample="speech.wav"]')
    expect(opened.page.locator("#status")).to_have_text("The server is busy. Trying again in 1 s …")
    assert "Speech" in classes(opened.page)

    opened.page.route(PREDICT, lambda route: route.fulfill(status=503), times=2)
    opened.page.click('[data-sample="speech.wav"]')
    assert said(opened.page) == ["The server is busy.", "Try again in a while."]
    opened.expect_failure(NOT_LOADED)


def test_a_server_that_is_busy_before_the_timeline(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(
        "**/model/predict*timeline*",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}),
        times=1,
    )
    opened.page.click('[data-sample="town.wav"]')
    note = opened.page.locator("#timeline-note")
    expect(note).to_have_text("The server is busy. Trying again in 1 s …")
    expect(note).to_contain_text("Click into the pictures")
    expect(opened.page.locator("#status")).to_contain_text("Heard: ")
    opened.expect_failure(NOT_LOADED)


def test_no_class_at_all(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    page.route(PREDICT, lambda route: route.fulfill(json={"status": "ok", "predictions": []}))
    page.click('[data-sample="speech.wav"]')
    expect(page.locator("#classes-note")).to_have_text("No class was heard.")


def test_a_timeline_that_ends_early(visit: Open, assets: Path) -> None:
    with serving(max_timeline_s=10) as (url, _):
        page = visit(f"{url}/demo").page
        choose(page, "town.wav", (assets / "town.wav").read_bytes())
        expect(page.locator("#timeline-note")).to_contain_text("The timeline is not complete.")
        expect(page.locator("#timeline-note")).to_contain_text("longer than the 10 s")
        assert "Bell" in classes(page)
        expect(page.locator("#rows li").first).not_to_be_empty()


def test_a_microphone_that_is_refused(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    page.click("#record")
    assert said(page)[0] == "The microphone was refused."
    expect(page.locator("#choose")).to_be_visible()


def test_a_page_that_came_without_tls_has_no_microphone(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo".replace("127.0.0.1", REMOTE)).page
    page.click("#record")
    assert said(page)[1] == "It does over https, and on localhost."
    page.click('[data-sample="speech.wav"]')
    assert "Speech" in classes(page)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Selected")
    assert page.evaluate("getSelection().toString()").strip() == page.locator("#curl").text_content()
