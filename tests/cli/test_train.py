"""``train``: bundles, reports and errors."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from audio_classifier.own_classes import fitting
from tests.cli.commands import run
from tests.support.sounds import encode

needs_scikit_learn = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
RATE = 16_000


def tone(rng: np.random.Generator, low_hz: float, seconds: float = 2) -> np.ndarray:
    """Return a tone of a random pitch from ``low_hz`` to an octave above, in noise."""
    times = np.arange(int(seconds * RATE)) / RATE
    samples = 0.3 * np.sin(2 * np.pi * low_hz * 2 ** rng.uniform() * times)
    return (samples + rng.normal(0, 10 ** rng.uniform(-3, -2), len(times))).astype(np.float32)


def noise(rng: np.random.Generator, seconds: float = 2) -> np.ndarray:
    return (rng.standard_normal(int(seconds * RATE)) * rng.uniform(0.01, 0.3)).astype(np.float32)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with low and high tones, and a folder with noise."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for index in range(12):
        for name, samples in (
            ("sounds/low", tone(rng, 200)),
            ("sounds/high", tone(rng, 1600)),
            ("others", noise(rng)),
        ):
            path = folder / name / f"{index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(samples, RATE))
    return folder


@pytest.fixture(scope="module")
def trained(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that is trained on them, in a folder with its report."""
    if find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    bundle = tmp_path_factory.mktemp("trained") / "tones"
    negatives = ("--negatives", recordings / "others")
    assert run("train", recordings / "sounds", *negatives, "--output", bundle) == 0
    return bundle


def report_of(bundle: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        bundle.with_name(f"{bundle.name}-report").joinpath("report.json").read_text()
    )
    return document


def test_bundle_recognises_new_sounds_and_none_of_them(trained: Path, tmp_path: Path) -> None:
    classifier, rng = AudioClassifier.open(trained), np.random.default_rng(1)
    assert [label.name for label in classifier.labels] == ["high", "low"]
    for samples, expected in ((tone(rng, 200), "low"), (tone(rng, 1600), "high")):
        first, second = classifier.predict(encode(samples, RATE))
        assert first.label == expected
        assert first.probability > 0.5 > second.probability
    assert all(one.probability < 0.5 for one in classifier.predict(encode(noise(rng), RATE)))


def test_report_has_measures_of_all_classes_and_negatives(trained: Path) -> None:
    document = report_of(trained)
    assert document["accuracy"]["value"] > 0.9
    assert document["accuracy"]["low"] < document["accuracy"]["value"]
    assert document["false_alarms"]["value"] < 0.2
    assert [(one["label"], one["recordings"]) for one in document["classes"]] == [("high", 12), ("low", 12)]
    assert document["too_little_data"] == []
    text = trained.with_name("tones-report").joinpath("report.md").read_text()
    assert text.startswith("# Training of tones\n\n36 recordings, 36 examples of 2 classes, of which 12 are")
    assert "| none of these |" in text
    assert "## Largest errors" in text
    files = {path.name for path in trained.with_name("tones-report").iterdir()}
    plots = {"classes.png", "confusion.png"} if find_spec("matplotlib") else set()
    assert files == {"report.md", "report.json", "thresholds.json"} | plots


def test_thresholds_are_accepted_with_the_bundle(trained: Path, recordings: Path) -> None:
    thresholds = trained.with_name("tones-report") / "thresholds.json"
    clip = recordings / "sounds" / "low" / "0.wav"
    assert run("classify", clip, "--bundle", trained, "--thresholds", thresholds) == 0


def test_second_training_gives_the_same_bytes(trained: Path, recordings: Path, tmp_path: Path) -> None:
    negatives = ("--negatives", recordings / "others")
    assert run("train", recordings / "sounds", *negatives, "--output", tmp_path / "tones") == 0
    for path in trained.iterdir():
        assert path.read_bytes() == (tmp_path / "tones" / path.name).read_bytes()
    assert report_of(trained) == report_of(tmp_path / "tones")


@needs_scikit_learn
def test_base_classes_are_kept_and_training_continues_on_the_result(
    recordings: Path, trained: Path, tmp_path: Path, compact: Path
) -> None:
    options = ("--keep-base-classes", "--output")
    assert run("train", recordings / "sounds", *options, tmp_path / "both") == 0
    labels = [label.name for label in AudioClassifier.open(tmp_path / "both").labels]
    base = [label.name for label in AudioClassifier.open(compact).labels]
    assert labels == [*base, "high", "low"]
    (tmp_path / "more").mkdir()
    for name, source in (("hum", "sounds/low"), ("hiss", "others")):
        shutil.copytree(recordings / source, tmp_path / "more" / name)
    assert run("train", tmp_path / "more", "--base", trained, *options, tmp_path / "four") == 0
    classifier = AudioClassifier.open(tmp_path / "four")
    assert [label.name for label in classifier.labels] == ["high", "low", "hiss", "hum"]
    clip = recordings / "sounds" / "high" / "3.wav"
    own = {one.label: one.probability for one in AudioClassifier.open(trained).predict(clip)}
    found = {one.label: one.probability for one in classifier.predict(clip)}
    assert found["high"] == pytest.approx(own["high"], abs=1e-4)


@needs_scikit_learn
def test_too_little_data_is_stated(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"sounds/{name}/{index}.wav,{name},home" for name in ("low", "high") for index in range(3)]
    (tmp_path / "one.csv").write_text("\n".join(["path,label,group", *rows]) + "\n")
    options = ("--labels", tmp_path / "one.csv", "--output")
    assert run("train", recordings, *options, tmp_path / "one") == 0
    assert "too little data: All recordings are in one group" in capsys.readouterr().out
    assert report_of(tmp_path / "one")["accuracy"] is None
    rows[0] = rows[0].replace("home", "work")
    (tmp_path / "one.csv").write_text("\n".join(["path,label,group", *rows]) + "\n")
    assert run("train", recordings, *options, tmp_path / "two") == 0
    output = capsys.readouterr().out
    assert "high has 3 recordings, all in one group. It could not be measured." in output
    assert "low has 3 recordings. Its figures are unreliable" in output


@needs_scikit_learn
def test_recordings_that_the_table_does_not_list_are_reported(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{name}/{index}.wav,{name}" for name in ("low", "high") for index in range(10)]
    (tmp_path / "some.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    arguments = ("train", recordings / "sounds", "--labels", tmp_path / "some.csv")
    assert run(*arguments, "--output", tmp_path / "out") == 0
    unlisted = [
        recordings / "sounds" / name / f"{index}.wav" for name in ("high", "low") for index in (10, 11)
    ]
    shown = ", ".join(map(str, unlisted[:3])) + " and 1 more"
    assert f"not used, because {tmp_path / 'some.csv'} does not list them: {shown}" in capsys.readouterr().err


@needs_scikit_learn
def test_wrong_labels_splits_copies_and_unreadable_files_are_in_the_report(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = tmp_path / "sounds"
    shutil.copytree(recordings / "sounds", sounds)
    shutil.copy(sounds / "low" / "0.wav", sounds / "high" / "wrong.wav")
    (sounds / "low" / "broken.wav").write_bytes(b"RIFF")
    long = tone(np.random.default_rng(5), 200, seconds=30)
    (sounds / "low" / "long.wav").write_bytes(encode(long, RATE))
    assert run("train", sounds, "--output", tmp_path / "tones") == 1
    assert "broken.wav: " in capsys.readouterr().err
    text = (tmp_path / "tones-report" / "report.md").read_text()
    largest = text.split("## Largest errors")[1].split("\n## ")[0].splitlines()[6]
    assert "wrong.wav" in largest or "low/0.wav" in largest
    assert "wrong.wav" in text.split("## Near-duplicates")[1]
    split = text.split("## Recordings that were split")[1]
    assert "long.wav | 29.76 | 0–" in split
    assert "broken.wav" in text.split("## Recordings that could not be used")[1]
    document = report_of(tmp_path / "tones")
    (found,) = [one for one in document["recordings"] if one["file"].endswith("long.wav")]
    assert len(found["examples"]) == 4


@needs_scikit_learn
@pytest.mark.parametrize(
    ("prepare", "options", "match"),
    [
        (["low"], [], "expected at least two classes, or negatives, got only 'low'"),
        (["low", "Low"], [], "expected different, printable names"),
        (["low", "Speech"], ["--keep-base-classes"], "'speech' occurs twice"),
        (["low", "high"], ["--seed", "-1"], "seed: must be at least 0"),
        ([], [], "expected labelled recordings|no audio files"),
    ],
)
def test_unusable_input_is_an_error_before_anything_is_written(
    recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: list[str],
    options: list[str],
    match: str,
) -> None:
    (tmp_path / "sounds").mkdir()
    for name in prepare:
        shutil.copytree(recordings / "others", tmp_path / "sounds" / name)
    assert run("train", tmp_path / "sounds", *options, "--output", tmp_path / "out") == 2
    assert re.search(match, capsys.readouterr().err)
    assert {path.name for path in tmp_path.iterdir()} == {"sounds"}


@needs_scikit_learn
def test_model_that_reads_clips_is_refused(
    recordings: Path, clip_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--base", clip_bundle, "--output", tmp_path / "out")
    assert run("train", recordings / "sounds", *options) == 2
    assert (
        "base: expected a model that reads patches, such as compact; mn01 reads clips"
        in capsys.readouterr().err
    )


def test_existing_output_is_refused(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", recordings / "sounds", "--output", recordings) == 2
    assert "already exists" in capsys.readouterr().err


def test_missing_scikit_learn_is_reported_with_the_extra(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "find_spec", lambda _: None)
    assert run("train", recordings / "sounds", "--output", tmp_path / "out") == 2
    assert "serverless-audio-classifier[train]" in capsys.readouterr().err


@needs_scikit_learn
def test_warnings_about_recordings_are_shown(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(recordings / "sounds", tmp_path / "sounds")
    clip = tmp_path / "sounds" / "low" / "0.wav"
    clip.write_bytes(clip.read_bytes()[:-20_000])
    assert run("train", tmp_path / "sounds", "--output", tmp_path / "out") == 0
    assert re.search(r"warning: .*low/0\.wav: ", capsys.readouterr().err)
