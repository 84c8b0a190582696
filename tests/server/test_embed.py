"""Embeddings over HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from audio_classifier import AudioClassifier
from audio_classifier.service.parameters import EmbedParameters
from tests.server.client import check_error
from tests.server.deployment import BUCKETS
from tests.support.serving import serving
from tests.support.sounds import busy, encode

EMBED = "/model/embed"


def post(url: str, data: Any, **parameters: Any) -> requests.Response:
    headers = {"Content-Type": "audio/wav"}
    return requests.post(url + EMBED, data, headers=headers, params=parameters, timeout=60)


def check_embeddings(answer: dict[str, Any], classifier: AudioClassifier, recording: Any) -> None:
    expected = classifier.embed(recording)
    assert answer.keys() == {"status", "embeddings"}
    assert answer["status"] == "ok"
    starts_s = [patch["start"] for patch in answer["embeddings"]]
    np.testing.assert_array_equal(starts_s, expected.start_s)
    values = np.array([patch["values"] for patch in answer["embeddings"]])
    assert np.abs(values - expected.values).max() <= 1 / 128  # the shape of a batch can change the rounding


def test_body_and_form_are_embedded(url: str, assets: Path, classifier: AudioClassifier) -> None:
    content = (assets / "town.wav").read_bytes()
    check_embeddings(post(url, content).json(), classifier, content)
    form = requests.post(url + EMBED, files={"audio": content}, data={"channel": "mix"}, timeout=60)
    check_embeddings(form.json(), classifier, content)


def test_object_of_an_allowed_bucket_is_embedded(s3: Any, assets: Path, classifier: AudioClassifier) -> None:
    for bucket in ("shared", "uploads", "results"):
        s3.create_bucket(Bucket=bucket)
    content = encode(busy(300, 16_000), 16_000)  # more than the requests that a clip may take
    s3.put_object(Bucket="shared", Key="a.wav", Body=content)
    with serving(**BUCKETS) as (url, _):
        named = requests.post(url + EMBED, json={"audio": "s3://shared/a.wav"}, timeout=60)
        check_embeddings(named.json(), classifier, content)


def test_channel_and_warnings(url: str, classifier: AudioClassifier) -> None:
    stereo = encode(busy(3, 16_000, channels=2), 16_000)
    answer = post(url, stereo, channel=2).json()
    assert len(answer["embeddings"]) == len(classifier.embed(stereo, channel=2).codes)
    truncated = post(url, stereo[: len(stereo) // 2]).json()
    assert [warning["code"] for warning in truncated["warnings"]] == ["truncated"]
    check_error(post(url, stereo, channel=3), 422, "channel: ")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start_time": "3"}, "start_time: does not apply to embeddings"),
        ({"timeline": "true"}, "timeline: does not apply"),
        ({"top-k": "3"}, "top_k: the request has 'top-k'"),
        ({"channel": "left"}, "channel: must be a number from 1 on, or mix"),
    ],
)
def test_other_parameters_are_refused(
    url: str, assets: Path, parameters: dict[str, str], message: str
) -> None:
    content = (assets / "rain.wav").read_bytes()
    check_error(post(url, content, **parameters), 422, message)
    form = requests.post(url + EMBED, files={"audio": content}, data=parameters, timeout=30)
    check_error(form, 422, message)
    assert post(url, content, start_time="", unknown="1").status_code == 200


def test_unusable_recording_is_an_error(url: str) -> None:
    check_error(post(url, b"text"), 400, "")
    check_error(post(url, b""), 422, "no body")
    assert requests.get(url + EMBED, timeout=5).status_code == 405


def test_model_without_embeddings_is_an_error(clip_bundle: Path, assets: Path) -> None:
    with serving(bundle=str(clip_bundle)) as (url, _):
        response = post(url, (assets / "rain.wav").read_bytes())
    hint = check_error(response, 422, "mn01 has no embeddings")
    assert response.json()["code"] == "no_embedding"
    assert "compact" in hint


def test_longer_recording_than_the_limit_is_refused() -> None:
    with serving(max_timeline_s=20) as (url, _):
        assert post(url, encode(busy(20, 8_000), 8_000)).status_code == 200
        check_error(post(url, encode(busy(30, 8_000), 8_000)), 413, "longer than 20 s")


def test_answer_for_an_hour_fits_into_a_response_of_lambda(url: str) -> None:
    response = post(url, encode(np.zeros(3_600 * 4_000, np.int16), 4_000))
    assert len(response.json()["embeddings"]) == 3_749
    assert len(response.content) < 6e6
    longest = '{"start":3599.04,"values":[' + ",".join(["-0.9921875"] * 128) + "]},"
    assert 3_750 * len(longest) < 6e6


def test_deadline_and_concurrency_are_those_of_predictions() -> None:
    content = encode(busy(60, 8_000), 8_000)
    with serving(timeline_deadline_s=2, max_concurrency=1, max_queue=0) as (url, shared):
        network: Any = shared.load()._network
        embed, started = network.embedder.embed, threading.Event()

        def slow(patches: Any) -> Any:
            started.set()
            time.sleep(0.7)
            return embed(patches)

        network.embedder.embed = slow
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(post, url, content)
            started.wait(10)
            check_error(post(url, content), 503, "waiting")
            check_error(pending.result(), 504, "within 2 s")


def test_seconds_and_requests_are_counted() -> None:
    with serving() as (url, _):
        post(url, encode(busy(21, 16_000), 16_000))
        text = requests.get(f"{url}/metrics", timeout=5).text
    (seconds,) = re.findall(r"^audio_classifier_audio_seconds_total (.*)$", text, re.MULTILINE)
    assert float(seconds) == pytest.approx(20.16)
    assert f'route="{EMBED}",status="200"' in text


def test_openapi_document_describes_the_route(url: str) -> None:
    document = requests.get(f"{url}/openapi.json", timeout=5).json()
    operation = document["paths"][EMBED]["post"]
    assert operation["requestBody"] == document["paths"]["/model/predict"]["post"]["requestBody"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {*EmbedParameters.model_fields}
    assert "EmbedResponse" in json.dumps(operation["responses"]["200"])
