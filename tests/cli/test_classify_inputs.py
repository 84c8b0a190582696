"""Inputs of `classify` other than single files: URLs, and folders with files that are not accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import run
from tests.support.servers import FileServer


def test_url_is_classified_next_to_files_and_folders_and_resumes(
    https_server: FileServer,
    folder: Path,
    assets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(assets / "siren.wav", https_server.folder)
    urls = [f"{https_server.url}/siren.wav", f"{https_server.url}/siren.wav?signature=0123"]
    output = tmp_path / "results.jsonl"
    (folder / "broken.wav").unlink()
    names = [*urls, folder, assets / "rain.wav"]
    assert run("classify", *names, "--output", output) == 0
    assert "5 classified, 0 already stored, 0 failed" in capsys.readouterr().err
    stored = [json.loads(line) for line in output.read_text().splitlines()]
    assert "signature" not in output.read_text()
    (direct,) = (result for result in stored if result["source"].get("url") == urls[0])
    assert "Siren" in [prediction["label"] for prediction in direct["predictions"]]
    assert run("classify", *names, "--output", output) == 0
    assert "0 classified, 5 already stored, 0 failed" in capsys.readouterr().err


def test_url_that_cannot_be_downloaded_is_reported_and_the_others_are_classified(
    https_server: FileServer, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (https_server.folder / "page.html").write_text("<!doctype html><p>")
    names = [f"{https_server.url}/gone.wav", f"{https_server.url}/page.html", assets / "rain.wav"]
    assert run("classify", *names, "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    codes = [json.loads(line).get("code") for line in out.splitlines()]
    assert codes == ["remote_not_found", "unsupported_format", None]
    assert "HTTP status 404" in err
    assert "Check the address" in err
    assert "an HTML page" in err


def test_url_is_limited_in_size_and_time(
    https_server: FileServer,
    assets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(assets / "siren.wav", https_server.folder)
    https_server.drip["/slow.wav"] = "body"
    monkeypatch.setenv("AUDIO_CLASSIFIER_MAX_OBJECT_BYTES", "1000")
    monkeypatch.setenv("AUDIO_CLASSIFIER_DOWNLOAD_DEADLINE_S", "1")
    assert run("classify", f"{https_server.url}/siren.wav", "--format", "json") == 1
    assert "at most 1000 bytes" in capsys.readouterr().err
    monkeypatch.setenv("AUDIO_CLASSIFIER_MAX_OBJECT_BYTES", "10000000")
    assert run("classify", f"{https_server.url}/slow.wav", "--format", "json") == 1
    assert "AUDIO_CLASSIFIER_DOWNLOAD_DEADLINE_S" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["https://", "https://user:secret@localhost/a.wav", "http://[x/"])
def test_invalid_url_is_an_error_of_usage(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", url) == 2
    err = capsys.readouterr().err
    assert "FILE: " in err
    assert "secret" not in err


@pytest.fixture
def without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("batch.suffixes", "audio.ffmpeg_library"):
        monkeypatch.setattr(f"audio_classifier.{module}.is_ffmpeg_installed", lambda: False)


@pytest.mark.usefixtures("without_ffmpeg")
def test_files_that_are_skipped_in_folders_are_counted_by_suffix(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.m4a", "B.M4A", "deeper/c.wma", ".hidden.m4a"):
        (folder / name).touch()
    run("classify", folder)
    assert (
        "skipped, because their formats are not accepted: 2 .m4a, 1 .wma\n  The extra formats reads more"
        in capsys.readouterr().err
    )
    (folder / "only").mkdir()
    (folder / "only" / "a.wma").touch()
    assert run("classify", folder / "only") == 1
    err = capsys.readouterr().err
    assert "no audio files in this folder" in err
    assert "1 .wma" in err


def test_files_that_the_installed_extra_reads_are_not_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A ")
    (folder / "a.rm").touch()
    run("classify", folder)
    err = capsys.readouterr().err
    assert "a.m4a: not a readable" in err
    assert err.endswith("skipped, because their formats are not accepted: 1 .rm\n")


def test_summary_does_not_mention_skipped_files_if_there_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("classify", folder, folder / "named.m4a")
    assert "skipped" not in capsys.readouterr().err


@pytest.mark.usefixtures("without_ffmpeg")
def test_files_that_are_skipped_below_a_prefix_are_counted(
    s3: object, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="skipped")
    client.put_object(Bucket="skipped", Key="in/a.wav", Body=(assets / "rain.wav").read_bytes())
    client.put_object(Bucket="skipped", Key="in/b.M4A", Body=b"")
    assert run("classify", "s3://skipped/in/") == 0
    assert "1 .m4a" in capsys.readouterr().err
