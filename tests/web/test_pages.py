"""Tests of both pages: accessibility, screen widths, base paths, and the page's modules."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from audio_classifier.server.app import create_app
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.support.serving import running, serving
from tests.web.browser import Open
from tests.web.test_demo import choose, classes

pytestmark = pytest.mark.web

Scheme: TypeAlias = Literal["light", "dark"]
BASE_PATH = "/prod"


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    found = {
        violation["id"]: [node["html"] for node in violation["nodes"]]
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    }
    assert found == {}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_demo_is_accessible_in_all_states(visit: Open, url: str, scheme: Scheme, width: int) -> None:
    opened = visit(f"{url}/demo", color_scheme=scheme, viewport={"width": width, "height": 800})
    page = opened.page
    assert_accessible(page)
    assert page.get_by_role("status").count() == 1, "screen readers may not announce a status that was hidden"
    page.click('[data-sample="town.wav"]')
    expect(page.locator("#jsonl")).to_be_visible()
    page.click("summary")
    assert_accessible(page)
    choose(page, f"{'a very long name ' * 12}.wav", b"not audio")
    expect(page.locator("#error")).to_be_visible()
    assert_accessible(page)
    opened.expect_error("Failed to load resource")


def test_long_file_name_is_truncated(visit: Open, url: str, assets: Path) -> None:
    page = visit(f"{url}/demo", viewport={"width": 360, "height": 700}).page
    choose(page, f"{'x' * 200}.wav", (assets / "siren.wav").read_bytes())
    classes(page)
    assert_accessible(page)
    name = page.locator("#name")
    assert name.evaluate("(name) => name.scrollWidth > name.clientWidth")
    expect(name).to_have_attribute("title", f"{'x' * 200}.wav")


def mounted(app: ASGIApp) -> ASGIApp:
    """Serve the app below a base path that it knows, as a gateway with a root path does."""
    return Starlette(routes=[Mount(BASE_PATH, app)])


def stripped(app: ASGIApp) -> ASGIApp:
    """Serve the app below a base path that it does not know, as a proxy that strips the path does."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(BASE_PATH)
            scope = {**scope, "path": scope["path"].removeprefix(BASE_PATH)}
        await app(scope, receive, send)

    return proxy


@pytest.mark.parametrize("with_base_path", [mounted, stripped])
def test_pages_work_below_a_base_path(visit: Open, with_base_path: Callable[[ASGIApp], ASGIApp]) -> None:
    app = create_app(SharedClassifier(Settings.from_environment({})))
    with running(with_base_path(app)) as url:
        page = visit(f"{url}{BASE_PATH}/demo").page
        page.click('[data-sample="town.wav"]')
        expect(page.locator("#jsonl")).to_be_visible()
        assert "Siren" in classes(page)
        expect(page.locator("#curl")).to_contain_text(f"{url}{BASE_PATH}/model/predict")
        page.click("footer a")
        expect(page.locator(".opblock").first).to_be_visible()
        page.click("nav a")
        expect(page).to_have_url(f"{url}{BASE_PATH}/demo")
        # The page loads its files again, which must finish before the server stops.
        page.wait_for_load_state("networkidle")


def test_swagger_ui_classifies_an_uploaded_file(visit: Open, url: str, assets: Path) -> None:
    page = visit(url).page
    predict = page.locator("#operations-model-predict")
    predict.locator(".opblock-summary").click()
    predict.get_by_role("button", name="Try it out").click()
    predict.locator("input[type=file]").set_input_files(assets / "siren.wav")
    predict.get_by_role("button", name="Execute").click()
    expect(predict.locator(".live-responses-table .microlight").first).to_contain_text("Siren")


def test_swagger_ui_sends_the_api_key_that_a_user_enters(visit: Open) -> None:
    key = "0123456789abcdef"
    with serving(api_keys=(key,)) as (url, shared):
        shared.load()
        opened = visit(url)
        page = opened.page
        page.get_by_role("button", name="Authorize").first.click()
        page.locator(".auth-container input").first.fill(key)
        page.locator(".auth-container").first.get_by_role("button", name="Apply credentials").click()
        page.get_by_role("button", name="Close").first.click()
        labels = page.locator("#operations-model-get_labels")
        labels.locator(".opblock-summary-control").click()
        labels.get_by_role("button", name="Try it out").click()
        labels.get_by_role("button", name="Execute").click()
        response = labels.locator(".live-responses-table tbody .response-col_status").first
        expect(response).to_contain_text("200")
        page.goto("about:blank")


def test_api_key_field_is_accessible(visit: Open) -> None:
    with serving(api_keys=("0123456789abcdef",)) as (url, _):
        opened = visit(f"{url}/demo", viewport={"width": 360, "height": 800})
        opened.page.click('[data-sample="speech.wav"]')
        expect(opened.page.get_by_label("API key")).to_be_visible()
        assert_accessible(opened.page)
        opened.expect_error("Failed to load resource")
        opened.page.goto("about:blank")


def test_wav_encoder_writes_clipped_16_bit_pcm(visit: Open, url: str) -> None:
    page = visit(f"{url}/demo").page
    written = page.evaluate(
        """async (samples) => {
            const { encodeWav } = await import(new URL("demo/wav.js", location.href));
            return [...new Uint8Array(await encodeWav(Float32Array.from(samples), 22050).arrayBuffer())];
        }""",
        [0, 0.5, -0.5, 1, -1, 2, -2],
    )
    samples, rate_hz = soundfile.read(io.BytesIO(bytes(written)), dtype="int16")
    assert rate_hz == 22050
    assert samples.tolist() == [0, 16384, -16384, 32767, -32768, 32767, -32768]


@pytest.mark.parametrize("frequency_hz", [250, 1000, 4000])
def test_spectrogram_draws_a_tone_at_its_frequency(visit: Open, url: str, frequency_hz: int) -> None:
    page = visit(f"{url}/demo").page
    drawn, wanted = page.evaluate(
        """async (frequencyHz) => {
            const { drawSpectrogram, height } = await import(new URL("demo/spectrogram.js", location.href));
            const canvas = document.createElement("canvas");
            const tone = Float32Array.from({ length: 16000 }, (_, i) =>
                Math.sin((2 * Math.PI * frequencyHz * i) / 16000));
            await drawSpectrogram(canvas, tone, 16000, 20, new AbortController().signal);
            const { data } = canvas.getContext("2d").getImageData(10, 0, 1, canvas.height);
            // The green channel of the colour map increases with the value.
            const greens = Array.from({ length: canvas.height }, (_, row) => data[row * 4 + 1]);
            const row = greens.indexOf(Math.max(...greens));
            return [1 - (row + 0.5) / canvas.height, height(frequencyHz)];
        }""",
        frequency_hz,
    )
    assert drawn == pytest.approx(wanted, abs=0.02)
