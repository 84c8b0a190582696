"""The original's behaviour, request by request, with the client library of its own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

PREDICT = "/model/predict"


def post(url: str, path: Path, media_type: str = "audio/wav", **parameters: Any) -> requests.Response:
    with path.open("rb") as file:
        return requests.post(
            url + PREDICT, files={"audio": (path.name, file, media_type)}, params=parameters, timeout=30
        )


def test_swagger(url: str) -> None:
    response = requests.get(f"{url}/swagger.json", timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    assert document["swagger"] == "2.0"
    assert document["info"]["title"] == "MAX Audio Classifier"
    assert document["info"]["version"] == "1.2.0"
    assert document["info"]["description"] == "Identify sounds in short audio clips"


def test_metadata(url: str) -> None:
    metadata = requests.get(f"{url}/model/metadata", timeout=5).json()
    assert metadata["id"] == "audio_embeddings-tf-imagenet"
    assert metadata["name"] == "audio_embeddings TensorFlow Model"
    assert metadata["description"] == "audio_embeddings TensorFlow model trained on Audio Set"
    assert metadata["license"] == "Apache 2.0"
    assert metadata["bundle"]["name"] == "compact"
    assert len(metadata["bundle"]["digest"]) == 64


def test_labels(url: str) -> None:
    labels = requests.get(f"{url}/model/labels", timeout=5).json()
    assert labels["count"] == len(labels["labels"]) == 527
    assert labels["labels"][0] == {"id": "/m/09x0r", "name": "Speech"}


def test_predict(url: str, assets: Path) -> None:
    response = post(url, assets / "thunder.wav")
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"status", "predictions"}
    assert answer["status"] == "ok"
    assert [prediction.keys() for prediction in answer["predictions"]] == [
        {"label_id", "label", "probability"}
    ] * 5
    probabilities = [prediction["probability"] for prediction in answer["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {"Thunder", "Thunderstorm"} <= {prediction["label"] for prediction in answer["predictions"]}


@pytest.mark.parametrize("text", ["", ",,", " , "])
def test_empty_filters_change_nothing(url: str, assets: Path, text: str) -> None:
    assert post(url, assets / "thunder.wav", filter=text).json() == post(url, assets / "thunder.wav").json()


def test_filters(url: str, assets: Path) -> None:
    answer = post(url, assets / "thunder.wav", filter="Thunder,Rain").json()
    assert [prediction["label"] for prediction in answer["predictions"]] == ["Thunder", "Rain"]
    late = post(url, assets / "thunder.wav", filter="Gunshot, gunfire").json()
    assert [prediction["label"] for prediction in late["predictions"]] == ["Gunshot, gunfire"]


@pytest.mark.parametrize("place", ["query", "form"])
def test_a_start_outside_of_the_clip(url: str, assets: Path, place: str) -> None:
    with (assets / "thunder.wav").open("rb") as file:
        response = requests.post(
            url + PREDICT,
            files={"audio": file},
            params={"start_time": 10} if place == "query" else None,
            data={"start_time": 10} if place == "form" else None,
            timeout=30,
        )
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["message"] == "Invalid start time: value outside audio clip"
    assert "lasts 10 s" in response.json()["hint"]


def test_a_part_that_is_no_audio(url: str, assets: Path) -> None:
    response = post(url, assets / "make_samples.py", "text/x-python")
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["message"] == "Invalid file type/extension: text/x-python"


@pytest.mark.parametrize("media_type", ["application/octet-stream", "audio/x-wav", "", "audio/wav; codecs=1"])
def test_the_content_decides(url: str, assets: Path, media_type: str, tmp_path: Path) -> None:
    odd = tmp_path / "sound.txt"
    odd.write_bytes((assets / "thunder.wav").read_bytes())
    assert post(url, odd, media_type).status_code == 200
