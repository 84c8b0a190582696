"""Tests of the demo page: all methods to open a recording, and the result that is shown."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from audio_classifier.server.limiter import ConcurrencyLimiter
from tests.support.sounds import busy, encode
from tests.web.browser import Open

pytestmark = pytest.mark.web

LONG_S = 18  # town.wav
HOSTILE = [
    "<img src=x onerror=document.title='owned'>.wav",
    'it\'s "quoted"; $(touch owned) `touch owned` \\ & a,b;type=x.wav',
    "-n a\nline.wav",
]


def api(url: str, recording: bytes, **parameters: Any) -> Any:
    answer = requests.post(f"{url}/model/predict", params=parameters, files={"audio": recording}, timeout=60)
    return answer.json()


def choose(page: Page, name: str, content: bytes, media_type: str = "audio/wav") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": media_type, "buffer": content})


def classes(page: Page) -> list[str]:
    expect(page.locator("#classes li").first).to_be_visible()
    return list(page.locator("#classes li > span:first-child").all_inner_texts())


def downloaded(page: Page, link: str) -> bytes:
    with page.expect_download() as download:
        page.click(link)
    return Path(download.value.path()).read_bytes()


def has_colours(page: Page, canvas: str, wanted: int) -> bool:
    """Wait until a canvas has at least so many colours, because some are drawn in steps."""
    deadline_s = time.monotonic() + 10
    while (count := _colours(page, canvas)) < wanted and time.monotonic() < deadline_s:
        page.wait_for_timeout(50)
    return count >= wanted


def _colours(page: Page, canvas: str) -> int:
    count: int = page.evaluate(
        """(selector) => {
            const canvas = document.querySelector(selector);
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {
                willReadFrequently: true,
            });
            copy.drawImage(canvas, 0, 0);
            const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }""",
        canvas,
    )
    return count


def current_time(page: Page) -> float:
    return float(page.locator("#player").evaluate("(player) => player.currentTime"))


def test_chosen_file_is_classified_and_shown(visit: Open, url: str, assets: Path) -> None:
    page = visit(f"{url}/demo").page
    recording = (assets / "siren.wav").read_bytes()
    choose(page, "siren.wav", recording)
    wanted = api(url, recording)["predictions"]
    assert classes(page) == [prediction["label"] for prediction in wanted]
    shown = page.locator("#classes .number").all_inner_texts()
    assert shown == [f"{round(prediction['probability'] * 100)} %" for prediction in wanted]
    expect(page.locator("#name")).to_have_text("siren.wav")
    expect(page.locator("#facts")).to_have_text("0:08 · 256 kB")
    expect(page.locator("#status")).to_contain_text(f"Predictions: {wanted[0]['label']} ")
    assert has_colours(page, "#waveform", 2)
    expect(page.locator("#heatmap")).to_be_hidden()
    assert json.loads(downloaded(page, "#json")) == api(url, recording)
    assert downloaded(page, "#sound") == recording


def test_warnings_are_shown_in_plain_words_once_each(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    loud = np.clip(20 * busy(15, 16_000), -1, 1)
    choose(page, "opposite.wav", encode(np.hstack([loud, -loud]), 16_000))
    expect(page.locator("#warnings li")).to_have_text(
        [
            "The channels cancel each other out. Only the loudest one was used.",
            "The recording is distorted, because it was recorded too loudly. The classes are uncertain.",
        ]
    )
    expect(page.locator("#timeline-note")).to_contain_text("Click the pictures")
    expect(page.locator("#warnings li")).to_have_count(2)
    choose(page, "good.wav", encode(busy(2, 16_000), 16_000))
    expect(page.locator("#name")).to_have_text("good.wav")
    expect(page.locator("#warnings")).to_be_hidden()


def test_dropped_file_is_classified(visit: Open, url: str, assets: Path) -> None:
    page = visit(f"{url}/demo").page
    data = page.evaluate_handle(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], "dropped.wav", { type: "audio/wav" }));
            return data;
        }""",
        list((assets / "dial-tone.wav").read_bytes()),
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": data})
    expect(page.locator("#drop")).to_have_class("over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    assert "Dial tone" in classes(page)
    expect(page.locator("#drop")).not_to_have_class("over")


def test_dropped_text_is_rejected(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    text = page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.setData('text', 'a'); return data; }"
    )
    page.dispatch_event("body", "drop", {"dataTransfer": text})
    expect(page.locator("#error")).to_contain_text("The dropped item is not a file.")


@pytest.mark.parametrize(
    ("sample", "label"),
    [("speech.wav", "Speech"), ("church-bell.wav", "Church bell"), ("dial-tone.wav", "Dial tone")],
)
def test_sample_is_classified(visit: Open, url: str, sample: str, label: str) -> None:
    page = visit(f"{url}/demo").page
    page.click(f'[data-sample="{sample}"]')
    assert label in classes(page)


def test_recording_of_the_microphone_is_classified(
    visit: Open, url: str, browser_with_microphone: Browser
) -> None:
    page = visit(f"{url}/demo", browser_with_microphone).page
    page.click("#record")
    expect(page.locator("#elapsed")).to_have_text("0:03")
    assert float(page.get_attribute("#level", "aria-valuenow") or -60) > -40
    expect(page.locator("#stop")).to_be_focused()
    page.click("#stop")
    assert "Siren" in classes(page)
    expect(page.locator("#choose")).to_be_visible()
    recording = downloaded(page, "#sound")
    assert (recording[:4], recording[8:12]) == (b"RIFF", b"WAVE")
    assert len(recording) >= 44 + 3 * 16_000 * 2


def test_escape_cancels_the_recording(visit: Open, url: str, browser_with_microphone: Browser) -> None:
    page = visit(f"{url}/demo", browser_with_microphone).page
    page.click("#record")
    page.locator("#recording").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator("#choose")).to_be_visible()
    expect(page.locator("#record")).to_be_focused()
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()


def test_cancelled_recorder_stays_hidden_when_microphone_keeps_running(
    visit: Open, url: str, browser_with_microphone: Browser
) -> None:
    page = visit(f"{url}/demo", browser_with_microphone).page
    page.evaluate("AudioContext.prototype.close = MediaStreamTrack.prototype.stop = () => {}")
    page.click("#record")
    page.locator("#recording").wait_for()
    page.click("#cancel")
    page.wait_for_timeout(500)
    expect(page.locator("#recording")).to_be_hidden()


def test_decoder_returns_the_mean_of_two_channels(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    both = busy(1, 16_000, channels=2)
    shown = page.evaluate(
        """async (bytes) => {
            const { decode } = await import(new URL("demo/sound.js", location.href));
            return [...await decode(new File([Uint8Array.from(bytes)], "a.wav", { type: "audio/wav" }))];
        }""",
        list(encode(both, 16_000)),
    )
    np.testing.assert_allclose(shown, both.mean(axis=1), atol=1e-3)


def test_long_recording_shows_heat_map_and_sound_events(visit: Open, url: str, assets: Path) -> None:
    page = visit(f"{url}/demo").page
    page.click('[data-sample="town.wav"]')
    expect(page.locator("#jsonl")).to_be_visible()
    rows = page.locator("#rows li").all_inner_texts()
    positions = [rows.index(label) for label in ("Bell", "Siren", "Thunder")]
    assert positions == sorted(positions)  # rows are in the order of their peaks
    assert {"Siren", "Thunder", "Rain"} < {*rows}
    assert has_colours(page, "#heatmap", 20)
    assert has_colours(page, "#spectrogram", 100)
    expect(page.locator("#classes-note")).to_have_text("In the first 10 seconds. ")

    recording = (assets / "town.wav").read_bytes()
    wanted = api(url, recording, timeline="true", window=2.88, hop=0.96, top_k=12)
    lines = [json.loads(line) for line in downloaded(page, "#jsonl").splitlines()]
    assert [line["window"] for line in lines if "window" in line] == wanted["windows"]
    assert lines[-1] == {"status": "ok"}

    page.click("summary")
    events = page.locator("#events tbody tr")
    assert events.count() == len(wanted["events"])
    assert events.locator("th").all_inner_texts() == [event["label"] for event in wanted["events"]]
    page.get_by_role("button", name="Play Thunder at").first.click()
    assert current_time(page) > 10


def test_click_and_keyboard_change_the_position(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    page.click('[data-sample="town.wav"]')
    expect(page.locator("#jsonl")).to_be_visible()
    seek = page.locator("#seek")
    box = seek.bounding_box()
    assert box is not None
    seek.click(position={"x": box["width"] * 0.75, "y": box["height"] - 20})
    assert current_time(page) == pytest.approx(LONG_S * 0.75, abs=0.1)
    expect(seek).to_have_attribute("aria-valuetext", re.compile(r"^0:13\.[45] – Thunderstorm \d+ %, "))
    expect(page.locator("#readout")).to_contain_text("Thunderstorm")
    left = page.locator("#playhead").evaluate("(head) => head.offsetLeft / head.parentElement.clientWidth")
    assert left == pytest.approx(0.75, abs=0.01)

    seek.focus()
    page.keyboard.press("ArrowLeft")
    assert current_time(page) == pytest.approx(LONG_S * 0.75 - 0.96, abs=0.1)
    page.keyboard.press("End")
    assert current_time(page) == pytest.approx(LONG_S, abs=0.1)
    page.keyboard.press("Home")
    assert current_time(page) == 0
    page.keyboard.press("Enter")
    expect(page.locator("#player")).to_have_js_property("paused", False)
    expect(page.locator("#readout")).to_have_text(re.compile("^0:01"))
    page.keyboard.press("Enter")
    expect(page.locator("#player")).to_have_js_property("paused", True)
    expect(seek).to_have_attribute("aria-valuenow", re.compile("^[1-9]"))


@pytest.mark.parametrize("name", ["siren.wav", *HOSTILE])
def test_shown_command_returns_the_predictions_for_any_file_name(
    visit: Open, url: str, assets: Path, tmp_path: Path, name: str
) -> None:
    """File names are neither interpreted as HTML by the page nor as code by the shell."""
    page = visit(f"{url}/demo").page
    title = page.title()
    recording = (assets / "siren.wav").read_bytes()
    choose(page, name, recording)
    wanted = api(url, recording)
    assert classes(page) == [prediction["label"] for prediction in wanted["predictions"]]
    assert page.locator("#name").text_content() == name
    assert page.locator("#result img").count() == 0
    assert page.title() == title

    (tmp_path / name).write_bytes(recording)
    command = page.locator("#curl").text_content() or ""
    run = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == wanted
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_copied_commands_return_predictions_and_timeline(visit: Open, url: str, assets: Path) -> None:
    page = visit(f"{url}/demo", permissions=["clipboard-read", "clipboard-write"]).page
    page.click('[data-sample="town.wav"]')
    expect(page.locator("#jsonl")).to_be_visible()
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    commands = page.evaluate("navigator.clipboard.readText()")
    assert commands == page.locator("#curl").text_content()
    run = subprocess.run(["bash", "-c", commands], cwd=assets, capture_output=True, text=True, check=True)
    answers = downloaded(page, "#json") + downloaded(page, "#jsonl")
    assert run.stdout.encode() == answers
    assert answers.count(b'{"window"') == 16


def test_file_that_the_browser_cannot_decode_is_classified_without_pictures(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    choose(page, "noise.aiff", encode(busy(12, 16_000), 16_000, "AIFF"), "audio/aiff")
    assert len(classes(page)) == 5
    expect(page.locator("#undecodable")).to_be_visible()
    expect(page.locator("#pictures")).to_be_hidden()
    expect(page.locator("#player")).to_be_hidden()
    choose(page, "noise.wav", encode(busy(2, 16_000), 16_000))
    expect(page.locator("#pictures")).to_be_visible()
    expect(page.locator("#undecodable")).to_be_hidden()


def test_new_choice_cancels_the_previous_request(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    held: list[Route] = []
    page.route("**/model/predict*", lambda route: held.append(route), times=1)
    page.click('[data-sample="speech.wav"]')
    with page.expect_event("requestfailed") as cancelled:
        expect(page.locator("#status")).to_have_text("Classifying …")
        while not held:
            page.wait_for_timeout(10)
        page.click('[data-sample="dial-tone.wav"]')
    assert "predict" in cancelled.value.url
    assert "Dial tone" in classes(page)
    expect(page.locator("#name")).to_have_text("dial-tone.wav")
    expect(page.locator("#error")).to_be_hidden()


def test_new_choice_cancels_a_running_timeline(
    visit: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, disconnected = ConcurrencyLimiter.stream, threading.Event()

    async def stream_first_lines(limiter: ConcurrencyLimiter, items: Iterator[Any]) -> AsyncIterator[Any]:
        """Yield the first lines, and then wait until the client disconnects."""
        lines = stream(limiter, items)
        for _ in range(20):
            yield await anext(lines)
        try:
            await anyio.sleep_forever()
        finally:
            disconnected.set()

    monkeypatch.setattr(ConcurrencyLimiter, "stream", stream_first_lines)
    page = visit(f"{url}/demo").page
    choose(page, "long.flac", encode(busy(60, 16_000), 16_000, "FLAC"), "audio/flac")
    expect(page.locator("#rows li").first).not_to_be_empty()
    assert page.locator("#jsonl").is_hidden()
    page.click('[data-sample="speech.wav"]')
    assert "Speech" in classes(page)
    expect(page.locator("#heatmap")).to_be_hidden()
    expect(page.locator("#timeline-note")).to_be_empty()
    assert disconnected.wait(timeout=10)
