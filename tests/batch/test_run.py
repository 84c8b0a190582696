"""Many files on the command line: stored, resumed, killed, in S3."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier, Selection
from audio_classifier.audio.source import AudioSource
from audio_classifier.batch.inputs import FileInput
from audio_classifier.batch.run import Failed, classify_inputs
from audio_classifier.batch.stores import open_store
from audio_classifier.cli.parser import main
from audio_classifier.errors import AudioClassifierError, ObjectChangedError
from audio_classifier.inference.clip import Classification
from tests.support.sounds import busy, encode

COMMAND = (sys.executable, "-m", "audio_classifier", "classify")
ROUNDING = 1e-5  # the last digits of sums depend on how many are made at once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven sounds at some depths, one that is none; the working folder is above."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sounds"
    for number in range(7):
        path = folder / ("deep" * (number % 2)) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(busy(1 + number, 16_000, seed=number), 16_000))
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def run(*arguments: object) -> int:
    return main(["classify", *map(str, arguments)])


def stored(place: Path) -> dict[str, Any]:
    """All results, by the file."""
    if place.suffix == ".jsonl":
        results = [json.loads(line) for line in place.read_text().splitlines()]
    else:
        results = [json.loads(path.read_text()) for path in place.rglob("*.json")]
    assert len({result["source"]["file"] for result in results}) == len(results)
    return {result["source"]["file"]: result for result in results}


def assert_alike(results: dict[str, Any], wanted: dict[str, Any]) -> None:
    """All the same but for the last digits of probabilities."""
    assert results.keys() == wanted.keys()
    for place, result in results.items():
        predictions, others = (one.pop("predictions", []) for one in (result, wanted[place]))
        assert result == wanted[place]
        assert [one["label_id"] for one in predictions] == [one["label_id"] for one in others]
        for one, other in zip(predictions, others, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=ROUNDING)


def test_many_are_heard_as_one_at_a_time(classifier: AudioClassifier, assets: Path, folder: Path) -> None:
    files = [*sorted(assets.glob("*.wav")), *sorted(folder.rglob("*.wav")), Path("gone")] * 3
    count = 0
    for file, heard in zip(files, classifier.classify_many(iter(files), top_k=None), strict=True):
        count += 1
        try:
            wanted = classifier.classify(file, top_k=None)
        except (AudioClassifierError, OSError) as error:
            refused = str(error)
        else:
            refused = ""
            assert isinstance(heard, Classification)
            assert {one.label_id: one.probability for one in heard.predictions} == pytest.approx(
                {one.label_id: one.probability for one in wanted.predictions}, abs=ROUNDING
            )
            assert (heard.audio, heard.analyzed_s) == (wanted.audio, wanted.analyzed_s)
        assert isinstance(heard, Classification) or str(heard) == refused
    assert count == len(files)


@pytest.mark.parametrize("place", ["out", "out/r.jsonl"])
def test_results_are_stored_and_not_made_again(folder: Path, capsys: Any, place: str) -> None:
    assert run("sounds", "--output", place, "--top-k", 2) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "7 classified, 0 already stored, 1 failed" in err
    assert "broken.wav: not a readable" in err
    results = stored(Path(place))
    assert {name.removeprefix("sounds/") for name in results} == {
        str(path.relative_to(folder)) for path in folder.rglob("*.wav")
    }
    assert results["sounds/broken.wav"]["code"] == "unreadable_audio"
    one = results["sounds/deep/1.wav"]
    assert (one["status"], len(one["predictions"]), one["audio"]["seconds"]) == ("ok", 2, 2.0)
    assert one["parameters"] == {"start_time": 0.0, "top_k": 2, "threshold": None, "filter": None}
    assert one["model"]["bundle"] == "compact"

    assert run("sounds", "sounds/0.wav", "./sounds/0.wav", "sounds", "--output", place, "--top-k", 2) == 0
    assert "0 classified, 18 already stored, 0 failed" in capsys.readouterr().err
    assert stored(Path(place)) == results
    (folder / "0.wav").write_bytes(encode(busy(2, 8_000), 8_000))
    assert run("sounds", "--output", place, "--top-k", 2) == 0
    assert "1 classified, 7 already stored" in capsys.readouterr().err


def test_a_file_named_twice_is_stored_once(folder: Path, capsys: Any) -> None:
    for place in ("out", "r.jsonl"):
        assert run("sounds/0.wav", "sounds/0.wav", "sounds/0.wav", "--output", place) == 0
        assert "1 classified, 2 already stored" in capsys.readouterr().err


def test_places_that_cannot_be_written_say_so(folder: Path, capsys: Any, s3: Any) -> None:
    Path("file").touch()
    for place in ("file", "file/r.jsonl", "s3://no-such-bucket/x/", "s3://models/x", "/proc/x"):
        assert run("sounds", "--output", place) == 2
        assert capsys.readouterr().err.startswith("audio-classifier: ")
    assert run("sounds", "--output", "out", "--format", "csv") == 2
    assert "--format: stored results are always JSON" in capsys.readouterr().err
    for name in ("s3://no-such-bucket/", "s3:///x/"):
        assert run(name) == 2
    assert "no-such-bucket/ does not exist" in capsys.readouterr().err


def test_a_full_disk_is_said_and_leaves_whole_lines(folder: Path) -> None:
    command = f"ulimit -f 2; exec {' '.join(COMMAND)} sounds --output r.jsonl"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "cannot be stored: [Errno 27] File too large" in result.stderr
    assert "Free some space" in result.stderr
    assert 0 < len(stored(Path("r.jsonl"))) < 8


@pytest.mark.parametrize("place", ["out", "r.jsonl"])
def test_killed_at_any_moment_it_goes_on(folder: Path, place: str) -> None:
    for number in range(7, 500):  # so many that none of the five below gets to the end
        (folder / f"{number}.wav").write_bytes(encode(busy(1, 16_000, seed=number), 16_000))
    assert run("sounds", "--output", f"whole-{place}") == 1

    def count() -> int:
        path = Path(place)
        if path.is_dir():
            return len(list(path.rglob("*.json")))
        return path.read_bytes().count(b"\n") if path.exists() else 0

    generator = random.Random(0)
    for kind in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        before = count()
        process = subprocess.Popen([*COMMAND, "sounds", "--output", place], stderr=subprocess.PIPE, text=True)
        while process.poll() is None and count() == before:  # until something more is stored
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.1))
        process.send_signal(kind)
        _, err = process.communicate(timeout=30)
        assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(kind, -kind)
        assert "Traceback" not in err
        assert ("already stored" in err) == (kind is not signal.SIGKILL)
        if place == "out":
            stored(Path(place))  # each is whole
    assert count() < 500
    assert run("sounds", "--output", place) in (0, 1)
    assert_alike(stored(Path(place)), stored(Path(f"whole-{place}")))


def key_of(client: Any, bucket: str) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", ())}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all calls for sounds in S3 from here on."""
    import audio_classifier.s3.client as aws

    calls: list[str] = []
    original: Callable[[], Any] = aws.s3_client

    def made() -> Any:
        client = original()
        client.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
        return client

    monkeypatch.setattr(aws, "s3_client", made)
    return calls


def test_a_bucket_is_classified_into_another(
    s3: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bucket in ("many", "heard"):
        s3.create_bucket(Bucket=bucket)
    sound = encode(busy(2, 16_000), 16_000)
    keys = ["in/a.wav", "in/b/ü.FLAC", "in/../c.wav", "in/long.wav"]
    for key in (*keys, "in/notes.txt", "other/d.wav"):
        s3.put_object(Bucket="many", Key=key, Body=sound)
    s3.put_object(Bucket="many", Key="in/long.wav", Body=encode(busy(600, 16_000), 16_000))
    arguments = ["s3://many/in/", "s3://many/in/notes.txt", "--output", "s3://heard/r/"]
    assert run(*arguments) == 0
    assert "5 classified" in capsys.readouterr().err
    assert len(key_of(s3, "heard")) == 5
    result = json.loads(s3.get_object(Bucket="heard", Key="r/many/in/a.wav.json")["Body"].read())
    assert (result["source"]["key"], result["status"]) == ("in/a.wav", "ok")

    calls = counted(monkeypatch)
    assert run(*arguments) == 0
    assert "5 already stored" in capsys.readouterr().err
    assert "GetObject" not in calls  # nothing of a sound
    s3.put_object(Bucket="many", Key="in/a.wav", Body=encode(busy(1, 8_000), 8_000))
    assert run(*arguments) == 0
    assert "1 classified, 4 already stored" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert run("s3://many/in/", "--output", "out") == 0
    assert len(list((tmp_path / "out").rglob("*.json"))) == 4


def test_what_is_not_there_is_a_failure_and_tried_again(s3: Any, capsys: Any, tmp_path: Path) -> None:
    s3.create_bucket(Bucket="few")
    where = tmp_path / "r.jsonl"
    assert run("s3://few/gone.wav", "s3://few/", "--output", where) == 1
    err = capsys.readouterr().err
    assert "s3://few/gone.wav: does not exist" in err
    assert "there are no audio files below this prefix" in err
    assert where.read_text() == ""
    s3.put_object(Bucket="few", Key="gone.wav", Body=encode(busy(1, 8_000), 8_000))
    assert run("s3://few/gone.wav", "--output", where) == 0


def test_a_prefix_is_listed_page_by_page(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import audio_classifier.s3.client as aws
    from audio_classifier.batch.inputs import find_inputs

    s3.create_bucket(Bucket="pages")
    for number in range(1100):
        s3.put_object(Bucket="pages", Key=f"{number:04}.wav", Body=b"")
    calls = counted(monkeypatch)
    sounds = find_inputs(["s3://pages"], aws.s3_client)
    assert next(sounds).name == "s3://pages/0000.wav"
    assert len(calls) == 1
    assert sum(1 for _ in sounds) == 1099
    assert len(calls) == 2


def test_output_goes_on_in_order_with_many(folder: Path, capsys: Any) -> None:
    assert run("sounds", "--format", "jsonl") == 1
    names = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert names == sorted(os.path.join("sounds", path.relative_to(folder)) for path in folder.rglob("*.wav"))


def test_a_file_written_to_meanwhile_is_tried_again(folder: Path, classifier: AudioClassifier) -> None:
    class Growing(FileInput):
        def identify(self, source: AudioSource) -> dict[str, Any]:
            identity = FileInput.identify(self, source)  # super() does not work with slots
            with open(self.name, "ab") as file:
                file.write(b"more")
            return identity

    store = open_store("r.jsonl")
    sounds, selection = [Growing("sounds/0.wav")], Selection(classifier.labels)
    (outcome,) = classify_inputs(classifier, sounds, selection, {"start_time": 0.0}, threads=1, store=store)
    store.close()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ObjectChangedError)
    assert Path("r.jsonl").read_bytes() == b""


def test_two_runs_do_not_share_a_file_of_lines(folder: Path, capsys: Any) -> None:
    store = open_store("r.jsonl")
    assert run("sounds", "--output", "r.jsonl") == 2
    assert "--output: another process writes to" in capsys.readouterr().err
    store.close()
    assert run("sounds", "--output", "r.jsonl") == 1


def test_several_files_end_in_a_summary_and_one_does_not(folder: Path, capsys: Any) -> None:
    assert run("sounds", "--format", "jsonl") == 1
    assert "\n7 classified, 1 failed, in " in capsys.readouterr().err
    assert run("sounds/0.wav") == 0
    assert capsys.readouterr().err == ""


def test_what_comes_before_a_place_that_cannot_be_listed_is_heard(folder: Path, capsys: Any) -> None:
    assert run("sounds/0.wav", "sounds/2.wav", "s3:///x", "--output", "r.jsonl") == 2
    assert "FILE: 's3:///x' is not s3://bucket/key" in capsys.readouterr().err
    assert len(stored(Path("r.jsonl"))) == 2


def test_what_makes_no_sense_together_is_refused(folder: Path, capsys: Any) -> None:
    assert run("-", "-") == 2
    assert "FILE: standard input can be read only once" in capsys.readouterr().err
    assert run("sounds/0.wav", "--plot", "a.png", "--output", "r.jsonl") == 2
    assert "--plot: stored results are not drawn" in capsys.readouterr().err
    assert not Path("r.jsonl").exists()


def test_a_pipe_can_be_stored(folder: Path) -> None:
    command = f"{' '.join(COMMAND)} <(cat sounds/0.wav) --output r.jsonl"
    subprocess.run(["bash", "-c", command], check=True)
    (heard,) = stored(Path("r.jsonl")).values()
    assert heard["source"]["size"] == (folder / "0.wav").stat().st_size
    assert heard["status"] == "ok"
