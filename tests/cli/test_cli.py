from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier, Hysteresis
from audio_classifier.cli.parser import build_parser, main
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.model.bundle import Bundle
from tests.support.sounds import busy, encode

COMMAND = Path(sys.executable).with_name("audio-classifier")


@pytest.fixture
def folder(tmp_path: Path, assets: Path) -> Path:
    """Two sounds, one of them deeper and shouting, a broken one, and things that are none."""
    folder = tmp_path / "sounds"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(assets / "rain.wav", folder)
    shutil.copy(assets / "siren.wav", folder / "deeper" / "SIREN.WAV")
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("none")
    (folder / ".hidden.wav").write_bytes(b"")
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_file_prints_five_bars(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", assets / "rain.wav") == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5
    assert any("█" in line and line.endswith("  Rain") for line in out.splitlines())
    assert err == ""


def test_options_reach_the_classifier(
    assets: Path, capsys: pytest.CaptureFixture[str], classifier: Any
) -> None:
    arguments = ["classify", assets / "rain.wav", "--format", "json", "--start-time", "3", "--top-k", "2"]
    arguments += ["--threshold", "0.001", "--filter", "thunder", "--filter", "/m/06mb1", "--filter", "Cat"]
    assert run(*arguments) == 0
    expected = classifier.predict(
        assets / "rain.wav", start_s=3, top_k=2, threshold=0.001, labels=["Thunder", "Rain", "Cat"]
    )
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert [prediction["label"] for prediction in predictions] == [
        prediction.label for prediction in expected
    ]
    assert [p["probability"] for p in predictions] == pytest.approx(
        [p.probability for p in expected], abs=1e-4
    )


def test_a_bad_file_is_reported_and_the_others_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", folder, folder / "gone.wav", folder / "notes.txt", "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    statuses = {Path(r["file"]).name: r["status"] for r in map(json.loads, out.splitlines())}
    assert statuses == {
        "broken.wav": "error", "SIREN.WAV": "ok", "rain.wav": "ok", "gone.wav": "error", "notes.txt": "error",
    }  # fmt: skip
    assert "broken.wav: not a readable audio file" in err
    assert "Send a WAV, FLAC, OGG or MP3 file." in err
    assert "gone.wav: No such file or directory" in err


def test_an_empty_folder_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", tmp_path) == 1
    assert "no sound files in this folder" in capsys.readouterr().err


def test_standard_input_is_a_file(
    assets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((assets / "rain.wav").read_bytes())))
    assert run("classify", "-", "--top-k", 1) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_start_beyond_the_end_is_that_files_error(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", assets / "rain.wav", "--start-time", "11") == 1
    assert "lasts 10 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--filter", "Thundr"], "Did you mean 'Thunder'"),
        (["--top-k", "0"], "--top-k: 0 classes"),
        (["--threshold", "2"], "--threshold: 2.0 is no"),
        (["--start-time", "-1"], "--start-time: -1 is before"),
        (["--bundle", "nowhere"], "no model bundle"),
        (["--bundle", "gopher://hole"], "--bundle: must be an https:// or s3:// URI, got 'gopher://hole'"),
        (["--bundle", "x" * 300], "File name too long"),
    ],
)
def test_what_cannot_be_done_at_all_says_why(
    assets: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run("classify", assets / "rain.wav", "--format", "csv", *arguments) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


@pytest.mark.parametrize(
    "arguments", [[], ["classify"], ["bundle"], ["classify", "x", "--format", "xml"], ["dance"]]
)
def test_misuse_shows_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_environment_sets_the_bundle(
    assets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_CLASSIFIER_BUNDLE", "nowhere")
    assert run("classify", assets / "rain.wav") == 2
    assert run("classify", assets / "rain.wav", "--bundle", "compact") == 0
    capsys.readouterr()


def test_labels_lists_527_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels") == 0
    assert len(capsys.readouterr().out.splitlines()) == 527
    assert run("labels", "--search", "thunder") == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["Thunderstorm", "Thunder"]
    assert run("labels", "--search", "qqqq") == 1
    assert "no class has 'qqqq'" in capsys.readouterr().err


def test_a_bundle_is_shown_and_verified(
    compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bundle", "show", "compact") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["digest"]) == ("compact", Bundle.open(compact).digest)
    copy = shutil.copytree(compact, tmp_path / "copy")
    assert run("bundle", "verify", copy) == 0
    assert "4 files" in capsys.readouterr().out
    (copy / "head.npz").write_bytes(b"")
    assert run("bundle", "verify", copy) == 2
    assert re.search(r"head\.npz: expected \d+ bytes .*, got 0", capsys.readouterr().err)


def test_a_bundle_is_copied(compact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    assert run("bundle", "copy", "compact", copy) == 0
    assert str(copy) in capsys.readouterr().out
    assert Bundle.open(copy).digest == Bundle.open(compact).digest
    assert {path.name for path in copy.iterdir()} == {path.name for path in compact.iterdir()}
    assert run("bundle", "copy", "compact", copy) == 2
    assert "already exists" in capsys.readouterr().err


def test_importing_without_the_extra_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.convert.import_max.find_spec", lambda module: None)
    assert run("bundle", "import-max", tmp_path / "max") == 2
    assert "pip install 'serverless-audio-classifier[convert]'" in capsys.readouterr().err


def test_the_installed_command_prints_nothing_but_the_answer(assets: Path) -> None:
    result = subprocess.run(
        [COMMAND, "classify", assets / "rain.wav"], capture_output=True, text=True, check=True
    )
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr == ""
    module = subprocess.run(
        [sys.executable, "-m", "audio_classifier", "--version"], capture_output=True, check=True
    )
    assert module.stdout.strip()


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    command = f"'{COMMAND}' labels | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def on_a_terminal(*arguments: object) -> str:
    """What a terminal shows."""
    main_end, other_end = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=other_end,
        stderr=other_end,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(other_end)
    shown = b""
    try:
        while data := os.read(main_end, 65536):
            shown += data
    except OSError:  # the other end was closed
        pass
    finally:
        os.close(main_end)
        process.wait()
    return shown.decode()


def test_many_files_on_a_terminal_show_progress(folder: Path, tmp_path: Path) -> None:
    for number in range(8):
        (folder / f"{number}.wav").write_bytes(encode(busy(2, 16_000), 16_000))
    shown = on_a_terminal("classify", folder, "--format", "jsonl")
    assert "classifying" in shown
    lines = [re.split(r"\x1b\[2K|\r", line)[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(answers) == 11, "no answer shares a line with the bar"
    assert "classifying" not in on_a_terminal("classify", folder / "rain.wav")


def test_the_environment_sets_threads_and_cache(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    def opened(place: str, **options: Any) -> Bundle:
        seen.update(options)
        return open_bundle(place)

    class Recorded(AudioClassifier):
        def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
            seen["threads"] = threads
            super().__init__(bundle, threads=threads)

    monkeypatch.setattr("audio_classifier.hub.bundles.open_bundle", opened)
    monkeypatch.setattr("audio_classifier.inference.classifier.AudioClassifier", Recorded)
    monkeypatch.setenv("AUDIO_CLASSIFIER_THREADS", "1")
    monkeypatch.setenv("AUDIO_CLASSIFIER_CACHE_DIR", str(tmp_path / "cache"))
    assert run("classify", assets / "rain.wav") == 0
    assert seen["threads"] == 1
    assert seen["cache_dir"] == tmp_path / "cache"


def test_odd_names_of_files_stop_nobody(folder: Path) -> None:
    odd = [
        os.fsencode(folder / "rain.wav").replace(b"rain", name)
        for name in (b"\xff", b"a\nb", "\u0394 \u96e8".encode())
    ]
    for name in odd:
        shutil.copy(os.fsencode(folder / "rain.wav"), name)
    for encoding in ("utf-8:strict", "ascii", "cp1252"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        for output in ("table", "json", "jsonl", "csv"):
            command = [os.fsencode(COMMAND), b"classify", b"--format", output.encode(), *odd]
            result = subprocess.run(command, capture_output=True, env=environment, check=False)
            assert result.returncode == 0
            assert result.stderr.startswith(b"3 classified, 0 failed, in ")
            assert result.stderr.count(b"\n") == 1
            if output == "json":
                files = [os.fsencode(response["file"]) for response in json.loads(result.stdout)]
                assert files == odd


def test_names_that_the_system_refuses_stop_nobody(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", "x" * 300 + ".wav", assets / "rain.wav", "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["error", "ok"]
    assert "File name too long" in err


def test_a_folder_that_may_not_be_read_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    original = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "deeper":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", scandir)
    assert run("classify", folder, "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    assert "deeper: Permission denied" in err
    assert "rain.wav" in out


def peak_mb(*command: object, stdin: Path | None = None) -> float:
    """The peak memory of a command.  A small process starts it, for its parent's counts, too."""
    script = """
import resource, subprocess, sys
with open(sys.argv[1]) as stdin:
    subprocess.run(sys.argv[2:], stdin=stdin, stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
    arguments = [sys.executable, "-c", script, *map(str, (stdin or os.devnull, *command))]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def test_standard_input_that_can_seek_is_read_by_the_window(tmp_path: Path) -> None:
    header = bytearray(encode(np.zeros((8_000, 1)), 8_000)[:44])
    header[4:8] = header[40:44] = (1 << 31).to_bytes(4, "little")
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.write(header)
        file.truncate(1 << 31)
    assert peak_mb(COMMAND, "classify", "-", stdin=huge) < 200


def test_a_process_takes_less_than_200_mb(tmp_path: Path) -> None:
    wav = tmp_path / "stereo.wav"
    wav.write_bytes(encode(busy(10, 44_100, channels=2), 44_100))
    assert 50 < peak_mb(COMMAND, "classify", wav) < 200


def test_a_full_disk_is_said(assets: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, "classify", assets / "rain.wav", "--format", "jsonl"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode == 2
    assert b"No space left on device" in result.stderr.splitlines()[0]


def test_the_place_of_an_import_may_come_first_or_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = build_parser()
    usage = re.sub(r"\s+", " ", subprocess.run(
        [COMMAND, "bundle", "import-max", "--help"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    assert "import-max OUT_DIR [-h] [--from SOURCE ...]" in usage
    arguments = ["bundle", "import-max", "out", "--from", "a", "b", "--from", "c"]
    assert parser.parse_args(arguments).sources == ["a", "b", "c"]


def test_a_timeline_of_a_file(assets: Path, capsys: pytest.CaptureFixture[str], classifier: Any) -> None:
    arguments = ["--threshold", "0.4", "--release", "0.3", "--min-duration", "1.5", "--window", "1.92"]
    arguments += ["--hop", "1.92", "--filter", "thunder", "--filter", "rain"]
    assert run("timeline", assets / "thunder.wav", "--format", "json", *arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    expected = classifier.events(
        assets / "thunder.wav",
        window_s=1.92,
        hop_s=1.92,
        hysteresis=Hysteresis(0.4, 0.3, 1.5),
        labels=["Thunder", "Rain"],
    )
    wanted = sorted(map(asdict, expected), key=lambda event: (event["start_s"], -event["peak"]))
    assert shown == {"file": str(assets / "thunder.wav"), "events": wanted}
    assert "Thunder" in {event["label"] for event in wanted}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threshold", "2"),
        ("--release", "0.9"),
        ("--min-duration", "-1"),
        ("--window", "20"),
        ("--hop", "5"),
    ],
)
def test_a_timelines_options_are_named(
    assets: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert run("timeline", assets / "rain.wav", option, value) == 2
    assert capsys.readouterr().err.startswith(f"audio-classifier: {option}: ")


def test_a_timeline_of_what_is_no_sound_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert run("timeline", tmp_path / "a.wav") == 1
    assert "a.wav: " in capsys.readouterr().err
    assert run("timeline", tmp_path / "gone.wav") == 1
    assert "gone.wav: " in capsys.readouterr().err


def test_a_name_does_nothing_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = tmp_path / "a\x1b[2J\nb ü.wav"
    hostile.write_bytes(b"no sound")
    assert main(["classify", str(hostile)]) == 1
    first, *_ = capsys.readouterr().err.splitlines()
    assert "a\\x1b[2J\\nb ü.wav: " in first
