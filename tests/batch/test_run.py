"""Batches: results are stored, runs resume after interruptions, and inputs may be in S3."""

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
from audio_classifier.constants import READER_VERSION
from audio_classifier.errors import ObjectChangedError
from tests.support.processes import start_interruptible
from tests.support.sounds import busy, encode

COMMAND = (sys.executable, "-m", "audio_classifier", "classify")
ROUNDING = 1e-5  # the order of summation depends on how many clips the network classifies at once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven recordings in two folders and a broken one; the working folder is the one above."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recordings"
    for number in range(7):
        path = folder / ("deep" * (number % 2)) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(busy(1 + number, 16_000, seed=number), 16_000))
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def run(*arguments: object) -> int:
    return main(["classify", *map(str, arguments)])


def read_results(output: Path, *, replaced: bool = False) -> dict[str, Any]:
    """Return all stored results by the name of the file; ``replaced`` if older ones are there, too."""
    if output.suffix == ".jsonl":
        results = [json.loads(line) for line in output.read_text().splitlines()]
    else:
        results = [json.loads(path.read_text()) for path in output.rglob("*.json")]
    assert replaced or len({result["source"]["file"] for result in results}) == len(results)
    return {result["source"]["file"]: result for result in results}


def assert_equal_but_for_rounding(results: dict[str, Any], expected: dict[str, Any]) -> None:
    assert results.keys() == expected.keys()
    for file, result in results.items():
        predictions, others = (one.pop("predictions", []) for one in (result, expected[file]))
        assert result == expected[file]
        assert [one["label_id"] for one in predictions] == [one["label_id"] for one in others]
        for one, other in zip(predictions, others, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=ROUNDING)


@pytest.mark.parametrize("output", ["out", "out/r.jsonl"])
def test_stored_results_are_not_computed_again(folder: Path, capsys: Any, output: str) -> None:
    assert run("recordings", "--output", output, "--top-k", 2) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "7 classified, 0 already stored, 1 failed" in err
    assert "broken.wav: not a readable" in err
    results = read_results(Path(output))
    assert {name.removeprefix("recordings/") for name in results} == {
        str(path.relative_to(folder)) for path in folder.rglob("*.wav")
    }
    assert results["recordings/broken.wav"]["code"] == "unreadable_audio"
    result = results["recordings/deep/1.wav"]
    assert (result["status"], len(result["predictions"]), result["audio"]["seconds"]) == ("ok", 2, 2.0)
    assert result["parameters"] == {
        "start_time": 0.0, "channel": None, "top_k": 2, "threshold": None, "filter": None, "exclude": None,
    }  # fmt: skip
    assert result["model"]["bundle"] == "compact"

    names = ("recordings", "recordings/0.wav", "./recordings/0.wav", "recordings")
    assert run(*names, "--output", output, "--top-k", 2) == 1
    assert "0 classified, 18 already stored (2 of them errors), 0 failed" in capsys.readouterr().err
    assert read_results(Path(output)) == results
    (folder / "0.wav").write_bytes(encode(busy(2, 8_000), 8_000))
    assert run("recordings", "--output", output, "--top-k", 2) == 1
    assert "1 classified, 7 already stored (1 of them errors)" in capsys.readouterr().err


def test_results_of_other_classes_are_replaced(folder: Path, capsys: Any) -> None:
    def classified(*options: str) -> bool:
        assert run("recordings/0.wav", "--output", "out", *options) == 0
        return "1 classified" in capsys.readouterr().err

    assert classified()
    assert classified("--exclude", "Dog")
    (result,) = read_results(Path("out")).values()
    assert (result["parameters"]["filter"], result["parameters"]["exclude"]) == (None, ["/m/0bt9lr"])
    assert not classified("--exclude", "/m/0bt9lr")
    assert classified("--exclude", "Dog", "--groups")
    assert not classified("--groups", "--exclude", "dog", "--exclude", "Bark")
    assert classified("--filter", "Dog", "--groups")
    (result,) = read_results(Path("out")).values()
    assert len(result["parameters"]["filter"]) == len(result["predictions"]) + 2 == 7
    assert classified("--groups")
    assert not classified()


@pytest.mark.parametrize("output", ["out", "out/r.jsonl"])
def test_redo_classifies_files_with_stored_results_once_more(folder: Path, capsys: Any, output: str) -> None:
    run("recordings", "--output", output)
    first = read_results(Path(output))
    capsys.readouterr()
    assert run("recordings", "recordings/0.wav", "--output", output, "--redo") == 1
    assert "7 classified, 1 already stored, 1 failed" in capsys.readouterr().err
    assert_equal_but_for_rounding(read_results(Path(output), replaced=True), first)


@pytest.mark.parametrize("output", ["out", "out/r.jsonl"])
def test_results_of_an_older_reader_are_replaced(
    folder: Path, capsys: Any, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("audio_classifier.inference.record.READER_VERSION", 1)
        run("recordings", "--output", output)
    capsys.readouterr()
    assert run("recordings", "--output", output) == 1
    assert "7 classified, 0 already stored, 1 failed" in capsys.readouterr().err
    results = read_results(Path(output), replaced=True).values()
    assert {result["model"]["reader"] for result in results} == {READER_VERSION}


def test_warnings_are_reported_and_stored(folder: Path, capsys: Any) -> None:
    (folder / "quiet.wav").write_bytes(encode(1e-4 * busy(2, 16_000), 16_000, subtype="FLOAT"))
    assert run("recordings/quiet.wav", "--output", "out") == 0
    assert "warning: recordings/quiet.wav: the recording is very quiet" in capsys.readouterr().err
    (result,) = read_results(Path("out")).values()
    assert [warning["code"] for warning in result["warnings"]] == ["very_quiet"]


def test_redo_without_output_is_refused(folder: Path, capsys: Any) -> None:
    assert run("recordings", "--redo") == 2
    assert "needs --output" in capsys.readouterr().err


def test_file_that_is_named_repeatedly_is_stored_once(folder: Path, capsys: Any) -> None:
    for output in ("out", "r.jsonl"):
        names = ["recordings/0.wav"] * 3
        assert run(*names, "--output", output) == 0
        assert "1 classified, 2 already stored" in capsys.readouterr().err


def test_output_that_cannot_be_written_is_reported(folder: Path, capsys: Any, s3: Any) -> None:
    Path("file").touch()
    for output in ("file", "file/r.jsonl", "s3://no-such-bucket/x/", "s3://models/x", "/proc/x"):
        assert run("recordings", "--output", output) == 2
        assert capsys.readouterr().err.startswith("audio-classifier: ")


def test_bucket_of_inputs_that_does_not_exist_is_reported(capsys: Any, s3: Any) -> None:
    for name in ("s3://no-such-bucket/", "s3:///x/"):
        assert run(name) == 2
    assert "no-such-bucket/ does not exist" in capsys.readouterr().err


def test_full_disk_is_reported_and_leaves_whole_lines(folder: Path) -> None:
    command = f"ulimit -f 2; exec {' '.join(COMMAND)} recordings --output r.jsonl"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "cannot be stored: [Errno 27] File too large" in result.stderr
    assert "Free some space" in result.stderr
    assert 0 < len(read_results(Path("r.jsonl"))) < 8


@pytest.mark.parametrize("output", ["out", "r.jsonl"])
def test_run_resumes_after_it_was_stopped_at_any_moment(folder: Path, output: str) -> None:
    for number in range(7, 500):  # enough that none of the five runs below completes
        (folder / f"{number}.wav").write_bytes(encode(busy(1, 16_000, seed=number), 16_000))
    assert run("recordings", "--output", f"uninterrupted-{output}") == 1

    def count() -> int:
        path = Path(output)
        if path.is_dir():
            return len(list(path.rglob("*.json")))
        return path.read_bytes().count(b"\n") if path.exists() else 0

    generator = random.Random(0)
    for stop_signal in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        before = count()
        process = start_interruptible(
            [*COMMAND, "recordings", "--output", output], stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None and count() == before:  # until another result is stored
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.1))
        process.send_signal(stop_signal)
        _, err = process.communicate(timeout=30)
        statuses = {signal.SIGINT: 130, signal.SIGTERM: 143}
        assert process.returncode == statuses.get(stop_signal, -stop_signal)
        assert "Traceback" not in err
        assert ("already stored" in err) == (stop_signal is not signal.SIGKILL)
        if output == "out":
            read_results(Path(output))  # fails if a file is incomplete
    assert count() < 500
    assert run("recordings", "--output", output) in (0, 1)
    assert_equal_but_for_rounding(read_results(Path(output)), read_results(Path(f"uninterrupted-{output}")))


def keys_in(client: Any, bucket: str) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", ())}


def record_input_operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the operations of clients that read inputs from S3 from now on."""
    import audio_classifier.s3.client as client_module

    operations: list[str] = []
    original: Callable[[], Any] = client_module.s3_client

    def create_client() -> Any:
        client = original()
        client.meta.events.register("before-call.s3", lambda model, **_: operations.append(model.name))
        return client

    monkeypatch.setattr(client_module, "s3_client", create_client)
    return operations


def test_results_of_objects_are_stored_in_another_bucket(
    s3: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bucket in ("batch-inputs", "batch-results"):
        s3.create_bucket(Bucket=bucket)
    content = encode(busy(2, 16_000), 16_000)
    keys = ["in/a.wav", "in/b/ü.FLAC", "in/../c.wav", "in/long.wav"]
    for key in (*keys, "in/notes.txt", "other/d.wav"):
        s3.put_object(Bucket="batch-inputs", Key=key, Body=content)
    s3.put_object(Bucket="batch-inputs", Key="in/long.wav", Body=encode(busy(600, 16_000), 16_000))
    names = ["s3://batch-inputs/in/", "s3://batch-inputs/in/notes.txt"]
    arguments = [*names, "--output", "s3://batch-results/r/"]
    assert run(*arguments) == 0
    assert "5 classified" in capsys.readouterr().err
    assert len(keys_in(s3, "batch-results")) == 5
    stored = s3.get_object(Bucket="batch-results", Key="r/batch-inputs/in/a.wav.json")
    result = json.loads(stored["Body"].read())
    assert (result["source"]["key"], result["status"]) == ("in/a.wav", "ok")

    operations = record_input_operations(monkeypatch)
    assert run(*arguments) == 0
    assert "5 already stored" in capsys.readouterr().err
    assert operations
    assert "GetObject" not in operations
    s3.put_object(Bucket="batch-inputs", Key="in/a.wav", Body=encode(busy(1, 8_000), 8_000))
    assert run(*arguments) == 0
    assert "1 classified, 4 already stored" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert run("s3://batch-inputs/in/", "--output", "out") == 0
    assert len(list((tmp_path / "out").rglob("*.json"))) == 4


def test_object_that_does_not_exist_fails_and_is_tried_again(s3: Any, capsys: Any, tmp_path: Path) -> None:
    s3.create_bucket(Bucket="few")
    output = tmp_path / "r.jsonl"
    assert run("s3://few/gone.wav", "s3://few/", "--output", output) == 1
    err = capsys.readouterr().err
    assert "s3://few/gone.wav does not exist" in err
    assert "there are no audio files below this prefix" in err
    assert output.read_text() == ""
    s3.put_object(Bucket="few", Key="gone.wav", Body=encode(busy(1, 8_000), 8_000))
    assert run("s3://few/gone.wav", "--output", output) == 0


def test_outcomes_are_printed_in_the_order_of_the_inputs(folder: Path, capsys: Any) -> None:
    assert run("recordings", "--format", "jsonl") == 1
    names = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert names == sorted(
        os.path.join("recordings", path.relative_to(folder)) for path in folder.rglob("*.wav")
    )


def test_file_that_is_modified_while_it_is_read_fails_and_is_not_stored(
    folder: Path, classifier: AudioClassifier
) -> None:
    class GrowingInput(FileInput):
        def identify(self, source: AudioSource) -> dict[str, Any]:
            identity = FileInput.identify(self, source)  # super() does not work with slots
            with open(self.name, "ab") as file:
                file.write(b"more")
            return identity

    store = open_store("r.jsonl")
    inputs, selection = [GrowingInput("recordings/0.wav")], Selection(classifier.labels)
    (outcome,) = classify_inputs(classifier, inputs, selection, {}, start_s=0.0, threads=1, store=store)
    store.close()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ObjectChangedError)
    assert Path("r.jsonl").read_bytes() == b""


def test_second_run_with_the_same_output_is_refused(folder: Path, capsys: Any) -> None:
    store = open_store("r.jsonl")
    assert run("recordings", "--output", "r.jsonl") == 2
    assert "--output: another process writes to" in capsys.readouterr().err
    store.close()
    assert run("recordings", "--output", "r.jsonl") == 1


def test_summary_is_printed_for_several_files_only(folder: Path, capsys: Any) -> None:
    assert run("recordings", "--format", "jsonl") == 1
    assert "\n7 classified, 1 failed, in " in capsys.readouterr().err
    assert run("recordings/0.wav") == 0
    assert capsys.readouterr().err == ""


def test_inputs_before_an_invalid_uri_are_stored(folder: Path, capsys: Any) -> None:
    assert run("recordings/0.wav", "recordings/2.wav", "s3:///x", "--output", "r.jsonl") == 2
    assert "FILE: 's3:///x' is not s3://bucket/key" in capsys.readouterr().err
    assert len(read_results(Path("r.jsonl"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "-"], "FILE: standard input can be read only once"),
        (
            ["recordings/0.wav", "--plot", "a.png", "--output", "r.jsonl"],
            "--plot: cannot be combined with --output",
        ),
        (
            ["recordings", "--output", "r.jsonl", "--format", "csv"],
            "--format: cannot be combined with --output",
        ),
    ],
)
def test_arguments_that_exclude_each_other_are_refused(
    folder: Path, capsys: Any, arguments: list[str], message: str
) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("r.jsonl").exists()


def test_result_of_a_pipe_is_stored(folder: Path) -> None:
    command = f"{' '.join(COMMAND)} <(cat recordings/0.wav) --output r.jsonl"
    subprocess.run(["bash", "-c", command], check=True)
    (result,) = read_results(Path("r.jsonl")).values()
    assert result["source"]["size"] == (folder / "0.wav").stat().st_size
    assert result["status"] == "ok"
