"""The behaviour of the original, IBM's MAX Audio Classifier, that its clients rely on."""

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


def test_swagger_document_is_that_of_the_original(url: str) -> None:
    response = requests.get(f"{url}/swagger.json", timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    assert document["swagger"] == "2.0"
    assert document["info"]["title"] == "MAX Audio Classifier"
    assert document["info"]["version"] == "1.2.0"
    assert document["info"]["description"] == "Identify sounds in short audio clips"


def test_metadata_is_that_of_the_original_and_of_the_bundle(url: str) -> None:
    metadata = requests.get(f"{url}/model/metadata", timeout=5).json()
    assert metadata["id"] == "audio_embeddings-tf-imagenet"
    assert metadata["name"] == "audio_embeddings TensorFlow Model"
    assert metadata["description"] == "audio_embeddings TensorFlow model trained on Audio Set"
    assert metadata["license"] == "Apache 2.0"
    assert metadata["bundle"]["name"] == "compact"
    assert len(metadata["bundle"]["digest"]) == 64


def test_labels_have_ids_and_names(url: str) -> None:
    labels = requests.get(f"{url}/model/labels", timeout=5).json()
    assert labels["count"] == len(labels["labels"]) == 527
    assert labels["labels"][0] == {"id": "/m/09x0r", "name": "Speech"}


def test_response_has_the_five_most_probable_classes(url: str, assets: Path) -> None:
    response = post(url, assets / "thunder.wav")
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"status", "predictions"}
    assert body["status"] == "ok"
    assert [prediction.keys() for prediction in body["predictions"]] == [
        {"label_id", "label", "probability"}
    ] * 5
    probabilities = [prediction["probability"] for prediction in body["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {"Thunder", "Thunderstorm"} <= {prediction["label"] for prediction in body["predictions"]}


@pytest.mark.parametrize("text", ["", ",,", " , "])
def test_empty_filter_selects_all_classes(url: str, assets: Path, text: str) -> None:
    assert post(url, assets / "thunder.wav", filter=text).json() == post(url, assets / "thunder.wav").json()


def test_filter_selects_classes_before_the_best_are_taken(url: str, assets: Path) -> None:
    body = post(url, assets / "thunder.wav", filter="Thunder,Rain").json()
    assert [prediction["label"] for prediction in body["predictions"]] == ["Thunder", "Rain"]
    late = post(url, assets / "thunder.wav", filter="Gunshot, gunfire").json()
    assert [prediction["label"] for prediction in late["predictions"]] == ["Gunshot, gunfire"]


@pytest.mark.parametrize("location", ["query", "form"])
def test_start_outside_the_recording_is_refused(url: str, assets: Path, location: str) -> None:
    with (assets / "thunder.wav").open("rb") as file:
        response = requests.post(
            url + PREDICT,
            files={"audio": file},
            params={"start_time": 10} if location == "query" else None,
            data={"start_time": 10} if location == "form" else None,
            timeout=30,
        )
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["message"] == "Invalid start time: value outside audio clip"
    assert "lasts 10 s" in response.json()["hint"]


def test_part_that_is_declared_as_another_type_is_refused(url: str, assets: Path) -> None:
    response = post(url, assets / "make_samples.py", "text/x-python")
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["message"] == "Invalid file type/extension: text/x-python"


@pytest.mark.parametrize("media_type", ["application/octet-stream", "audio/x-wav", "", "audio/wav; codecs=1"])
def test_file_is_recognised_by_its_content(url: str, assets: Path, media_type: str, tmp_path: Path) -> None:
    renamed = tmp_path / "recording.txt"
    renamed.write_bytes((assets / "thunder.wav").read_bytes())
    assert post(url, renamed, media_type).status_code == 200
