"""What is ours over HTTP: more parameters, bodies, errors of one shape, limits, and the page."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import anyio
import pytest
import requests
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.types import Message

from audio_classifier import AudioClassifier, Hysteresis
from audio_classifier.server.body import SPOOL_BYTES, UploadedAudio, audio_request
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.parameters import PredictParameters
from audio_classifier.service.settings import Settings
from devtools.ports import answers, free_port, wait_until
from tests.support.serving import serving
from tests.support.sounds import busy, encode

PREDICT = "/model/predict"


def post(url: str, data: Any, media_type: str | None = "audio/wav", **parameters: Any) -> requests.Response:
    headers = {"Content-Type": media_type} if media_type else {}
    return requests.post(url + PREDICT, data=data, headers=headers, params=parameters, timeout=30)


def check_error(response: requests.Response, status: int, message: str) -> str:
    assert response.status_code == status, response.text
    answer = response.json()
    assert answer.keys() == {"status", "code", "message", "hint"}
    assert answer["status"] == "error"
    assert message in answer["message"]
    return str(answer["hint"])


def test_a_raw_body_is_a_sound(url: str, assets: Path) -> None:
    content = (assets / "rain.wav").read_bytes()
    answers = [
        post(url, content, media_type).json()
        for media_type in ("audio/wav", "application/octet-stream", None)
    ]
    with (assets / "rain.wav").open("rb") as file:
        answers.append(requests.post(url + PREDICT, files={"audio": file}, timeout=30).json())
    answers.append(
        post(url, (content[i : i + 10_000] for i in range(0, len(content), 10_000))).json()
    )  # chunked
    assert answers == [answers[0]] * 5
    assert answers[0]["status"] == "ok"


@pytest.mark.parametrize(("seconds", "on_disk"), [(10, 0), (30, 1)])
def test_ten_seconds_are_held_in_memory(
    url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, on_disk: int
) -> None:
    made = Mock(wraps=tempfile.TemporaryFile)
    monkeypatch.setattr("tempfile.TemporaryFile", made)
    sound = encode(busy(seconds, 44_100, channels=2), 44_100)
    form = requests.post(url + PREDICT, files={"audio": sound}, timeout=30).json()
    assert made.call_count == on_disk
    assert post(url, sound).json() == form
    assert made.call_count == 2 * on_disk


def test_parameters_reach_the_classifier(url: str, assets: Path, classifier: AudioClassifier) -> None:
    content = (assets / "thunder.wav").read_bytes()
    answer = post(url, content, start_time=3, top_k=7, threshold=0.05).json()
    expected = classifier.predict(content, start_s=3, top_k=7, threshold=0.05)
    assert [p["label"] for p in answer["predictions"]] == [p.label for p in expected]
    assert [p["probability"] for p in answer["predictions"]] == pytest.approx(
        [p.probability for p in expected], abs=1e-4
    )


def test_a_timeline_covers_the_whole_file(url: str) -> None:
    answer = post(url, encode(busy(21, 16_000), 16_000), timeline="true", top_k=1).json()
    assert [(window["start"], window["end"]) for window in answer["windows"]] == [
        (0, 9.6),
        (9.6, 19.2),
        (19.2, 20.16),
    ]
    assert all(len(window["predictions"]) == 1 for window in answer["windows"])
    assert "predictions" not in answer


def test_a_timeline_has_events(url: str, assets: Path, classifier: AudioClassifier) -> None:
    content = (assets / "thunder.wav").read_bytes()
    parameters: dict[str, Any] = {"window": 2.88, "hop": 0.96, "threshold": 0.4, "release": 0.3}
    parameters |= {"timeline": "true", "filter": "Thunder,Rain", "min_duration": 1}
    answer = post(url, content, **parameters).json()
    expected = [
        {name.removesuffix("_s"): value for name, value in asdict(event).items()}
        for event in classifier.events(
            content, hysteresis=Hysteresis(0.4, 0.3, 1), labels=["Thunder", "Rain"]
        )
    ]
    assert answer["events"] == sorted(expected, key=lambda event: event["start"])
    assert {"Thunder"} <= {event["label"] for event in expected}
    assert [window["start"] for window in answer["windows"]] == pytest.approx(
        [0.96 * i for i in range(len(answer["windows"]))]
    )


def lines_of(url: str, content: bytes, **parameters: Any) -> list[dict[str, Any]]:
    headers = {"Content-Type": "audio/wav", "Accept": "application/x-ndjson; q=1, */*"}
    answer = requests.post(
        url + PREDICT, content, headers=headers, params={"timeline": "true", **parameters}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return list(map(json.loads, answer.text.splitlines()))


def test_lines_say_the_same(url: str, assets: Path) -> None:
    content = (assets / "thunder.wav").read_bytes()
    parameters: dict[str, Any] = {"window": 1.92, "hop": 0.96, "top_k": 2}
    whole = post(url, content, timeline="true", **parameters).json()
    *lines, last = lines_of(url, content, **parameters)
    assert last == {"status": "ok"}
    assert [line["window"] for line in lines if "window" in line] == whole["windows"]
    events = [line["event"] for line in lines if "event" in line]
    assert sorted(events, key=lambda event: event["start"]) == whole["events"]


def test_lines_come_while_there_are_more_to_come() -> None:
    with serving() as (url, service):
        classifier, released = service.load(), threading.Event()
        embed = classifier._network.embedder.embed
        calls = iter(range(100))

        def slow(patches: Any) -> Any:
            if next(calls) == 4:  # a window is told when the one behind the next begins
                assert released.wait(10)
            return embed(patches)

        classifier._network.embedder.embed = slow  # type: ignore[method-assign]
        headers = {"Content-Type": "audio/wav", "Accept": "application/x-ndjson"}
        content = encode(busy(60, 16_000), 16_000)
        with requests.post(
            url + PREDICT, content, headers=headers, params={"timeline": "true"}, timeout=30, stream=True
        ) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines))["window"]["start"] == 0
            released.set()
            assert json.loads([*lines][-1]) == {"status": "ok"}


def test_what_breaks_in_the_middle_is_told_in_the_last_line(url: str) -> None:
    content = encode(busy(60, 16_000), 16_000, "FLAC")
    first, *_, last = lines_of(url, content[: len(content) // 2])
    assert first["window"]["start"] == 0
    assert last["status"] == "error"
    assert last["message"]


def test_what_breaks_at_once_is_no_line(url: str) -> None:
    headers = {"Content-Type": "audio/wav", "Accept": "application/x-ndjson"}
    answer = requests.post(url + PREDICT, b"nothing", headers=headers, params={"timeline": "1"}, timeout=5)
    check_error(answer, 400, "not a readable audio file")


def test_timelines_are_counted(url: str) -> None:
    def counted() -> float:
        text = requests.get(f"{url}/metrics", timeout=5).text
        (value,) = re.findall(r"^audio_classifier_audio_seconds_total (.*)$", text, re.MULTILINE)
        return float(value)

    before = counted()
    post(url, encode(busy(21, 16_000), 16_000), timeline="true")
    assert counted() == pytest.approx(before + 20.16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a sound at all", "not a readable audio file"),
        (encode(busy(1, 16_000), 16_000)[:44], "contains no audio"),
        (encode(busy(1, 16_000) * float("nan"), 16_000, subtype="FLOAT"), "NaN"),
    ],
)
def test_what_is_no_sound_is_the_clients_fault(url: str, content: bytes, message: str) -> None:
    assert check_error(post(url, content), 400, message)


def test_a_body_that_a_gateway_mangled_is_explained(url: str, assets: Path) -> None:
    mangled = (assets / "rain.wav").read_bytes().decode(errors="replace").encode()[4:]
    assert "binary media types" in check_error(post(url, mangled), 400, "not a readable audio file")
    assert "FLAC" in check_error(post(url, b"something else"), 400, "not a readable audio file")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "top_k: "),
        ({"top_k": "many"}, "top_k: "),
        ({"threshold": 2}, "threshold: "),
        ({"start_time": -1}, "start_time: "),
        ({"start_time": "nan"}, "start_time: "),
        ({"timeline": "perhaps"}, "timeline: "),
        ({"window": 20}, "window: "),
        ({"timeline": "true", "window": 0.96, "hop": 1.92}, "hop: "),
        ({"timeline": "true", "release": 0.5}, "release: "),
        ({"min_duration": -1}, "min_duration: "),
        ({"filter": "Thundr"}, "filter: no class is called 'Thundr'"),
    ],
)
def test_a_parameter_out_of_range_is_named(
    url: str, assets: Path, parameters: dict[str, Any], message: str
) -> None:
    check_error(post(url, (assets / "rain.wav").read_bytes(), **parameters), 422, message)


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
def test_bodies_of_other_kinds_are_refused(url: str, media_type: str) -> None:
    assert "multipart/form-data" in check_error(post(url, b"a=b", media_type), 415, media_type)


def test_json_that_is_long_or_deep_is_refused(url: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    check_error(post(url, f'{{"audio": {deep}}}'.encode(), "application/json"), 400, "not JSON")
    check_error(post(url, b'{"audio": "' + b"x" * 300_000 + b'"}', "application/json"), 413, "262144 bytes")
    check_error(
        post(url, b'{"audio": "s3://bucket/\\ud800"}', "application/json"),
        422,
        "not the location of an object",
    )
    long = requests.post(url + PREDICT, files={"audio": b"x"}, data={"filter": "a," * 100_000}, timeout=5)
    check_error(long, 422, "filter: ")


def test_a_timeline_is_bounded() -> None:
    with serving(max_timeline_s=20) as (url, _):
        assert post(url, encode(busy(19, 8_000), 8_000), timeline="true").status_code == 200
        check_error(post(url, encode(busy(40, 8_000), 8_000), timeline="true"), 413, "20 s")


def test_look_ups_do_not_wait_for_sounds() -> None:
    with serving(max_concurrency=1, max_queue=1) as (url, service):
        service.load()
        release = threading.Event()
        service.classify = lambda *_, **__: release.wait(10)  # type: ignore[assignment, method-assign]
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(post, url, encode(busy(1, 8_000), 8_000)) for _ in range(2)]
            time.sleep(0.3)
            assert requests.get(f"{url}/model/labels", timeout=5).status_code == 200
            release.set()
            [answer.result() for answer in answers]


def test_a_client_that_goes_away_is_no_error() -> None:
    with serving() as (url, service):
        service.load()
        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
            connection.putrequest("POST", PREDICT)
            connection.putheader("Content-Type", "audio/wav")
            connection.putheader("Content-Length", "100000")
            connection.endheaders()
            connection.send(bytes(1000))
        deadline = time.monotonic() + 5
        while 'status="499"' not in (text := requests.get(f"{url}/metrics", timeout=5).text):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert 'status="500"' not in text


def test_a_body_without_a_sound_is_refused(url: str) -> None:
    check_error(post(url, b""), 422, "audio: ")
    check_error(requests.post(url + PREDICT, files={"other": b"x"}, timeout=5), 422, "audio: ")
    form = requests.Request("POST", url + PREDICT, files={"x": (None, "y")}).prepare()
    check_error(requests.Session().send(form), 422, "audio: ")


def test_a_broken_multipart_body_is_explained(url: str) -> None:
    hint = check_error(post(url, b"nonsense", "multipart/form-data; boundary=b"), 400, "multipart")
    assert "gateway" in hint
    check_error(post(url, b"nonsense", "multipart/form-data"), 400, "multipart")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", PREDICT, 405), ("GET", "/nothing", 404), ("POST", "/", 405)]
)
def test_other_errors_have_the_same_shape(url: str, method: str, path: str, status: int) -> None:
    check_error(requests.request(method, url + path, timeout=5), status, "")


def test_an_upload_is_bounded_while_it_is_read() -> None:
    with serving(max_upload_bytes=100_000) as (url, _):
        assert post(url, encode(busy(2, 16_000), 16_000)).status_code == 200
        too_long = encode(busy(10, 16_000), 16_000)
        assert "FLAC" in check_error(post(url, too_long), 413, "100000 bytes")
        check_error(requests.post(url + PREDICT, files={"audio": too_long}, timeout=5), 413, "100000 bytes")

        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
            connection.putrequest("POST", PREDICT)
            connection.putheader("Content-Type", "audio/wav")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            connection.send(b"%x\r\n" % 200_000 + bytes(200_000) + b"\r\n")  # and never an end
            assert connection.getresponse().status == 413


def test_more_than_may_wait_are_turned_away() -> None:
    with serving(max_concurrency=1, max_queue=2) as (url, service):
        service.load()
        release = threading.Event()
        original = service.classify

        def slow(*arguments: Any, **options: Any) -> Any:
            release.wait(10)
            return original(*arguments, **options)

        service.classify = slow  # type: ignore[method-assign]
        content = encode(busy(1, 16_000), 16_000)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(post, url, content) for _ in range(8)]
            while sum(answer.done() for answer in answers) < 5:
                time.sleep(0.01)
            release.set()
            responses = [answer.result() for answer in answers]
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200] * 3 + [503] * 5
    turned_away = next(response for response in responses if response.status_code == 503)
    assert int(turned_away.headers["Retry-After"]) >= 1
    check_error(turned_away, 503, "waiting")


def test_a_slow_sound_does_not_hold_up_the_rest() -> None:
    with serving(max_concurrency=1) as (url, service):
        service.load()
        release = threading.Event()
        service.classify = lambda *_, **__: release.wait(10)  # type: ignore[assignment, method-assign]
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, url, encode(busy(1, 16_000), 16_000))
            assert requests.get(f"{url}/healthz", timeout=2).status_code == 200
            release.set()
            answer.result()


def test_it_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    with serving(bundle=str(tmp_path / "nothing")) as (url, _):
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
        check_error(post(url, encode(busy(1, 16_000), 16_000)), 500, "no model bundle")
        ready = requests.get(f"{url}/readyz", timeout=5)
        check_error(ready, 503, "no model bundle")


def test_metrics_count_what_was_done() -> None:
    with serving() as (url, service):
        service.load()
        assert post(url, encode(busy(2, 16_000), 16_000)).status_code == 200
        assert post(url, b"nothing").status_code == 400
        requests.request("INVENTED", f"{url}/invented", timeout=5)
        text = requests.get(f"{url}/metrics", timeout=5).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def requests_total(route: str, status: str, method: str = "POST") -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return samples["audio_classifier_requests_total", *labels]

    assert requests_total(PREDICT, "200") == requests_total(PREDICT, "400") == 1
    assert requests_total("other", "404", "other") == 1
    assert samples["audio_classifier_cold_starts_total",] == 1
    assert samples["audio_classifier_audio_seconds_total",] == pytest.approx(1.92)  # two patches
    for stage in ("read", "features", "embedding", "head"):
        assert samples["audio_classifier_stage_seconds_count", ("stage", stage)] == 1


def test_the_page_needs_no_other_server(url: str) -> None:
    page = requests.get(url, timeout=5)
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"static/{name}" in page.text
        assert len(requests.get(f"{url}/static/{name}", timeout=5).content) > 1000
    assert "demo/swagger.js" in page.text
    assert "SwaggerUIBundle(" in requests.get(f"{url}/demo/swagger.js", timeout=5).text


def test_both_documents_are_valid_and_agree(url: str) -> None:
    openapi = requests.get(f"{url}/openapi.json", timeout=5).json()
    swagger = requests.get(f"{url}/swagger.json", timeout=5).json()
    OpenAPIV31SpecValidator(openapi).validate()
    OpenAPIV2SpecValidator(swagger).validate()
    assert openapi["info"] == swagger["info"]
    for path, operations in swagger["paths"].items():
        for method, operation in operations.items():
            ours = openapi["paths"][path][method]
            assert ours["operationId"] == operation["operationId"]
            names = {parameter["name"] for parameter in operation.get("parameters", ())} - {"audio"}
            assert names <= {parameter["name"] for parameter in ours.get("parameters", ())}
    parameters = openapi["paths"][PREDICT]["post"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == PredictParameters.model_fields.keys()


def test_it_stops_when_told_and_finishes_what_it_has_begun(assets: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("audio-classifier")), "serve", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz"), alive=lambda: process.poll() is None)
        content = (assets / "rain.wav").read_bytes()
        begun = threading.Event()

        def slowly() -> Any:
            yield content[:1000]
            begun.set()
            time.sleep(0.5)
            yield content[1000:]

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, url, slowly())
            begun.wait(5)
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 200
        assert process.wait(10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def test_a_file_is_closed_though_its_request_was_cancelled() -> None:
    sound = bytes(2 * SPOOL_BYTES)  # too long for memory
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    body = head + sound + b"\r\n--x--\r\n"
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def closed() -> bool:
        with anyio.CancelScope() as scope:
            request = Request({"type": "http", "headers": headers}, receive)
            async with audio_request(request, ObjectAccess(Settings.from_environment({}))) as audio:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert isinstance(audio, UploadedAudio)
        return audio.file.closed

    with ThreadPoolExecutor(1) as apart:  # from the event loop that Mangum leaves in the main thread
        assert apart.submit(anyio.run, closed).result()
