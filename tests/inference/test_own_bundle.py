"""Bundles with own classes in all parts of the product."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from audio_classifier import AudioClassifier, SoundEvent, Window
from audio_classifier.errors import BundleInvalidError, UnknownLabelError
from audio_classifier.model.bundle import Bundle, write_bundle
from audio_classifier.model.manifest import Manifest
from tests.cli.commands import run
from tests.support.own_bundles import OWN_CLASSES, make_own_bundle
from tests.support.serving import serving


@pytest.fixture(scope="module")
def own(compact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with own classes only."""
    return make_own_bundle(compact, tmp_path_factory.mktemp("own") / "own")


@pytest.fixture(scope="module")
def both(compact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the classes of the built-in one, and own classes."""
    return make_own_bundle(compact, tmp_path_factory.mktemp("both") / "both", keep_base_classes=True)


def test_base_classes_come_first_and_keep_their_probabilities(
    own: Path, both: Path, classifier: AudioClassifier, assets: Path
) -> None:
    alone, joined = AudioClassifier.open(own), AudioClassifier.open(both)
    assert [label.name for label in alone.labels] == [*OWN_CLASSES]
    assert [label.name for label in joined.labels] == [label.name for label in classifier.labels] + [
        *OWN_CLASSES
    ]
    probabilities = joined.probabilities(assets / "rain.wav")
    expected = [classifier.probabilities(assets / "rain.wav"), alone.probabilities(assets / "rain.wav")]
    np.testing.assert_allclose(probabilities, np.concatenate(expected), atol=1e-5)


def test_batch_of_clips_of_different_lengths_equals_single_clips(both: Path, assets: Path) -> None:
    classifier = AudioClassifier.open(both)
    paths = [assets / f"{name}.wav" for name in ("rain", "clock", "dial-tone", "town")]
    batch = classifier.prepared_probabilities([classifier.prepare(path) for path in paths])
    np.testing.assert_allclose(batch, [classifier.probabilities(path) for path in paths], atol=1e-4)


def test_timeline_has_windows_and_events_of_own_classes(own: Path, assets: Path) -> None:
    items = [*AudioClassifier.open(own).analyze(assets / "town.wav", top_k=None)]
    windows = [item for item in items if isinstance(item, Window)]
    assert {len(window.predictions) for window in windows} == {3}
    events = {item.label for item in items if isinstance(item, SoundEvent)}
    assert events <= {*OWN_CLASSES}
    assert events


def test_own_classes_can_be_selected_by_name_with_commas_and_in_groups_of_the_base(
    own: Path, both: Path, assets: Path
) -> None:
    rain = assets / "rain.wav"
    (prediction,) = AudioClassifier.open(own).predict(rain, labels=["motor, WORN"])
    assert (prediction.label_id, prediction.label) == ("Motor, worn", "Motor, worn")
    joined = AudioClassifier.open(both)
    found = joined.predict(rain, labels=["Animal", "kettle"], groups=True, top_k=None)
    assert {"kettle", "Dog"} <= {one.label for one in found}
    with pytest.raises(UnknownLabelError, match="Animal"):
        AudioClassifier.open(own).predict(rain, labels=["Animal"], groups=True)


def test_http_serves_own_classes(own: Path, assets: Path) -> None:
    with serving(bundle=str(own)) as (url, service):
        service.load()
        labels = requests.get(f"{url}/model/labels", timeout=5).json()
        assert (labels["count"], [one["name"] for one in labels["labels"]]) == (3, [*OWN_CLASSES])
        files = {"audio": ("rain.wav", (assets / "rain.wav").read_bytes(), "audio/wav")}
        answer = requests.post(f"{url}/model/predict", files=files, timeout=30).json()
        assert {one["label_id"] for one in answer["predictions"]} == {*OWN_CLASSES}


def test_commands_read_the_bundle(own: Path, assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "--bundle", own) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[5:].split("  ")[1] for row in rows] == [*OWN_CLASSES]
    assert run("labels", "--bundle", own, "--groups", "--search", "e") == 0
    assert "kettle" in capsys.readouterr().out
    assert run("timeline", assets / "town.wav", "--bundle", own) == 0
    assert run("classify", assets / "rain.wav", "--bundle", own, "--filter", "kettle") == 0
    assert "kettle" in capsys.readouterr().out


def test_lambda_function_answers_with_own_classes(own: Path, assets: Path, tmp_path: Path) -> None:
    event = {"audio_base64": base64.b64encode((assets / "rain.wav").read_bytes()).decode()}
    (tmp_path / "event.json").write_text(json.dumps(event))
    code = (
        "import json, types, sys\nfrom audio_classifier.lambda_handler import handler\n"
        "context = types.SimpleNamespace(aws_request_id='1', function_name='f', memory_limit_in_mb='1769',\n"
        "  invoked_function_arn='arn:aws:lambda:us-east-1:1:function:f',\n"
        "  get_remaining_time_in_millis=lambda: 30000)\n"
        "answer = handler(json.load(open(sys.argv[1])), context)\n"
        "print('ANSWER', json.dumps(answer))"
    )
    environ = os.environ | {"AUDIO_CLASSIFIER_BUNDLE": str(own), "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "event.json"],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout.split("ANSWER ")[1].splitlines()[0])
    assert [*OWN_CLASSES] == sorted((one["label"] for one in answer["predictions"]), key=[*OWN_CLASSES].index)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"schema_version": 1}, r"linear_head\.npz needs schema_version 2"),
        ({"files": [0, 1, 3]}, r"head\.npz or linear_head\.npz must be listed"),
    ],
)
def test_manifest_of_another_schema_or_without_a_head_is_refused(
    own: Path, changes: dict[str, Any], match: str
) -> None:
    document = json.loads((own / "manifest.json").read_text())
    if "files" in changes:
        document["files"] = [one for one in document["files"] if "head" not in one["path"]]
    else:
        document |= changes
    with pytest.raises(BundleInvalidError, match=match):
        Manifest.parse(json.dumps(document).encode(), "own")


def test_bundle_with_more_labels_than_classes_is_refused(own: Path, both: Path, tmp_path: Path) -> None:
    files = {entry.path: own / entry.path for entry in Bundle.open(own).manifest.files}
    fields = Bundle.open(own).manifest.model_dump(exclude={"files"})
    write_bundle(tmp_path / "wrong", files | {"labels.csv": both / "labels.csv"}, **fields)
    with pytest.raises(BundleInvalidError, match="a label per class, got 3 classes and 530 labels"):
        AudioClassifier.open(tmp_path / "wrong")
