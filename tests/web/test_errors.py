"""Tests of the error messages of the demo page."""

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


def shown_error(page: Page) -> list[str]:
    expect(page.locator("#error")).to_be_visible()
    expect(page.locator("#result")).to_be_hidden()
    return list(page.locator("#error > *").all_inner_texts())


def test_text_file_is_rejected_by_the_server(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    choose(opened.page, "a.txt", b"hello", "text/plain")
    assert shown_error(opened.page)[0] == "Invalid file type/extension: text/plain."
    choose(opened.page, "a.wav", b"hello" * 100)
    expect(opened.page.locator("#error")).to_contain_text("Not a readable audio file")
    assert shown_error(opened.page)[1]
    opened.expect_error(NOT_LOADED)


def test_empty_file_is_rejected_without_a_request(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    choose(page, "a.wav", b"")
    assert shown_error(page) == ["The file is empty.", "Choose another file."]


def test_dropped_folder_is_rejected(visit: Open, url: str, tmp_path: Path) -> None:
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
    assert shown_error(page) in (
        ["The file cannot be read.", "Choose another file, or a file in the folder."],
        ["The file is empty.", "Choose another file."],
    )


def test_too_large_file_shows_message_and_hint_of_the_server(visit: Open, assets: Path) -> None:
    with serving(max_upload_bytes=100_000) as (url, _):
        opened = visit(f"{url}/demo")
        choose(opened.page, "rain.wav", (assets / "rain.wav").read_bytes())
        message, hint = shown_error(opened.page)
    assert "100000 bytes" in message
    assert hint
    opened.expect_error(NOT_LOADED)


def test_unreachable_server_shows_error(visit: Open, assets: Path) -> None:
    with serving() as (url, _):
        opened = visit(f"{url}/demo")
        # The server does not stop while the browser has an open connection.
        opened.page.goto("about:blank")
        opened.page.goto(f"{url}/demo")
        opened.page.locator("#record").wait_for()
    choose(opened.page, "rain.wav", (assets / "rain.wav").read_bytes())
    assert shown_error(opened.page)[0] == "The server cannot be reached."
    opened.page.click('[data-sample="speech.wav"]')
    assert shown_error(opened.page)[0] == "The server cannot be reached."
    opened.expect_error(NOT_LOADED)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (413, "<html><h1>413 Request Entity Too Large</h1></html>", "The file is too large for this server."),
        (413, '{"message":"Request Too Long"}', "The file is too large for this server."),
        (504, '{"message": "Endpoint request timed out"}', "The server took too long."),
        (403, '{"message":"Missing Authentication Token"}', "The server does not allow the request."),
        (418, "[]", "The server answered with status 418."),
    ],
)
def test_error_of_a_gateway_shows_message_for_its_status(
    visit: Open, url: str, status: int, body: str, message: str
) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(PREDICT, lambda route: route.fulfill(status=status, body=body))
    opened.page.click('[data-sample="speech.wav"]')
    assert shown_error(opened.page)[0] == message
    opened.expect_error(NOT_LOADED)


def test_request_is_retried_once_when_server_is_busy(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(PREDICT, lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}), times=1)
    opened.page.click('[data-sample="speech.wav"]')
    expect(opened.page.locator("#status")).to_have_text("The server is busy. Trying again in 1 s …")
    assert "Speech" in classes(opened.page)

    opened.page.route(PREDICT, lambda route: route.fulfill(status=503), times=2)
    opened.page.click('[data-sample="speech.wav"]')
    assert shown_error(opened.page) == ["The server is busy.", "Try again later."]
    opened.expect_error(NOT_LOADED)


def test_timeline_is_retried_when_server_is_busy(visit: Open, url: str) -> None:
    opened = visit(f"{url}/demo")
    opened.page.route(
        "**/model/predict*timeline*",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}),
        times=1,
    )
    opened.page.click('[data-sample="town.wav"]')
    note = opened.page.locator("#timeline-note")
    expect(note).to_have_text("The server is busy. Trying again in 1 s …")
    expect(note).to_contain_text("Click the pictures")
    expect(opened.page.locator("#status")).to_contain_text("Predictions: ")
    opened.expect_error(NOT_LOADED)


def test_response_without_predictions_shows_note(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    page.route(PREDICT, lambda route: route.fulfill(json={"status": "ok", "predictions": []}))
    page.click('[data-sample="speech.wav"]')
    expect(page.locator("#classes-note")).to_have_text("No class was detected.")


def test_incomplete_timeline_shows_note_and_partial_result(visit: Open, assets: Path) -> None:
    with serving(max_timeline_s=10) as (url, _):
        page = visit(f"{url}/demo").page
        choose(page, "town.wav", (assets / "town.wav").read_bytes())
        expect(page.locator("#timeline-note")).to_contain_text("The timeline is not complete.")
        expect(page.locator("#timeline-note")).to_contain_text("longer than 10 s")
        assert "Bell" in classes(page)
        expect(page.locator("#rows li").first).not_to_be_empty()


def test_denied_microphone_shows_error(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    page.click("#record")
    assert shown_error(page)[0] == "Access to the microphone was denied."
    expect(page.locator("#choose")).to_be_visible()


def test_page_without_tls_has_no_microphone_and_no_clipboard(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo".replace("127.0.0.1", REMOTE)).page
    page.click("#record")
    assert shown_error(page)[1] == "Open the page over https or on localhost."
    page.click('[data-sample="speech.wav"]')
    assert "Speech" in classes(page)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Selected")
    assert page.evaluate("getSelection().toString()").strip() == page.locator("#curl").text_content()


def test_page_asks_for_an_api_key_and_classifies_the_chosen_file_with_it(visit: Open, assets: Path) -> None:
    key = "0123456789abcdef"
    with serving(api_keys=(key,)) as (url, shared):
        shared.load()
        opened = visit(f"{url}/demo")
        page = opened.page
        expect(page.locator("#key")).to_be_hidden()
        choose(page, "siren.wav", (assets / "siren.wav").read_bytes())
        assert shown_error(page)[0] == "This server requires an API key."
        expect(page.get_by_label("API key")).to_be_focused()

        page.get_by_label("API key").fill("ü" * 16)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#error h2")).to_have_text("This is not an API key.")
        page.get_by_label("API key").fill("wrong-0123456789")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#error h2")).to_have_text("The server does not accept this API key.")

        page.get_by_label("API key").fill(f" {key} ")
        page.get_by_label("API key").press("Enter")
        assert "Siren" in classes(page)
        expect(page.locator("#key")).to_be_hidden()
        expect(page.locator("#curl")).to_contain_text('-H "X-Api-Key: $API_KEY"')
        assert key not in page.content()
        page.click('[data-sample="town.wav"]')
        expect(page.locator("#jsonl")).to_be_visible()
        opened.expect_error(NOT_LOADED)
        page.goto("about:blank")
