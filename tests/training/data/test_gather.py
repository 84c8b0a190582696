"""Clips from packages and folders: containers, excerpts, limits, and the table of packages."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data.audio_files import AudioFile, find_audio_files
from training.data.clips import Clip, ClipPool, ClipWriter
from training.data.gather import EXCERPT_S, add_package, add_recordings, excerpts, interleave
from training.data.packages import Package, apt_download, fetch, read_sources

RATE_HZ = 16_000


def tone(seconds: float = 0.5, pitch_hz: float = 440) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


def encoded(kind: str, seconds: float = 0.5, pitch_hz: float = 440) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(seconds, pitch_hz), RATE_HZ, format=kind)
    return file.getvalue()


def seconds_of(file: AudioFile) -> list[float]:
    return [len(clip) / RATE_HZ for clip in excerpts(file.load())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Audio files in all supported containers, and files that are not audio."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.WAV").write_bytes(encoded("WAV"))
    (tmp_path / "deep" / "b.flac").write_bytes(encoded("FLAC"))
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.WAV")
    (tmp_path / "notes.txt").write_text("not audio")
    with zipfile.ZipFile(tmp_path / "c.pk3", "w") as archive:
        archive.writestr("sound/c.wav", encoded("WAV"))
        archive.writestr("maps/c.bsp", b"not audio")
    first, second = encoded("OGG"), encoded("OGG", 1.0)
    (tmp_path / "d.rcc").write_bytes(b"qres OggS" + first + b"\1\2" + second + b"RIFF" + encoded("WAV", 0.25))
    lump = struct.pack("<HHI", 3, 8000, 4032) + bytes(16) + bytes(range(250)) * 16 + bytes(16)
    directory = struct.pack("<II8sII8s", 12, len(lump), b"DSPISTOL", 12, len(lump), b"PLAYPAL")
    (tmp_path / "e.wad").write_bytes(b"IWAD" + struct.pack("<II", 2, 12 + len(lump)) + lump + directory)
    return tmp_path


def test_audio_files_are_found_in_all_containers(folder: Path) -> None:
    found = {file.name: seconds_of(file) for file in find_audio_files(folder)}
    assert found == {
        "a.WAV": [0.5],
        "c.pk3/sound/c.wav": [0.5],
        "d.rcc/0": [0.5],
        "d.rcc/1": [1.0],
        "d.rcc/2": [0.25],
        "deep/b.flac": [0.5],
        "e.wad/DSPISTOL": [0.5],
    }


def test_excerpts_of_a_long_recording_are_spread_over_it() -> None:
    ramp = np.linspace(0, 0.9, 100 * RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, ramp, RATE_HZ, format="WAV")
    taken = list(excerpts(file.getvalue()))
    assert [len(clip) for clip in taken] == [EXCERPT_S * RATE_HZ] * 3
    starts_s = [clip[0] / 32767 / 0.9 * 100 for clip in taken]
    assert starts_s == pytest.approx([20.5, 44, 67.5], abs=1)


def test_silent_or_very_short_files_give_no_excerpts() -> None:
    assert list(excerpts(encoded("WAV", 0.05))) == []
    file = io.BytesIO()
    soundfile.write(file, np.zeros(RATE_HZ), RATE_HZ, format="WAV")
    assert list(excerpts(file.getvalue())) == []


def test_interleave_alternates_between_folders() -> None:
    many = [AudioFile(f"voices/{number}.wav", Path) for number in range(20)]
    few = [AudioFile("animals/dog.wav", Path), AudioFile("animals/cat.wav", Path)]
    order = [file.name for file in interleave([*many, *few], seed=0)]
    assert sorted(order) == sorted(file.name for file in [*many, *few])
    assert {name.split("/")[0] for name in order[:2]} == {"voices", "animals"}
    assert sum(name.startswith("animals") for name in order[:4]) == 2
    assert order == [file.name for file in interleave([*many, *few], seed=0)]


def test_a_package_is_limited_to_its_minutes(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(10):
        (files / f"{number}.wav").write_bytes(encoded("WAV", 1.0, 300 + number))
    (files / "broken.wav").write_bytes(b"RIFF")
    with ClipWriter(tmp_path / "pool") as writer:
        minutes = add_package(writer, Package("frogs", "CC0", 3.5 / 60, "[0-4].wav", ""), files)
    assert minutes == pytest.approx(4 / 60)
    clips = ClipPool.open(tmp_path / "pool").clips
    assert {(clip.source, clip.licence) for clip in clips} == {("frogs", "CC0")}
    assert {clip.recording for clip in clips} < {f"{number}.wav" for number in range(5, 10)}


def test_recordings_take_source_and_licence_from_the_index(tmp_path: Path) -> None:
    (tmp_path / "in" / "pond").mkdir(parents=True)
    for number in range(2):
        (tmp_path / "in" / "pond" / f"{number}.ogg").write_bytes(encoded("OGG", 0.5, 300 + number))
    (tmp_path / "in" / "corpus.csv").write_text(
        "path,source,original_path,licence,seconds\n"
        "pond/0.ogg,someone/pond,all frogs.wav,CC BY 4.0,0.5\n"
        "pond/1.ogg,someone/pond,all frogs.wav,CC BY 4.0,0.5\n"
    )
    with ClipWriter(tmp_path / "pool") as writer:
        assert add_recordings(writer, tmp_path / "in") == pytest.approx(1 / 60)
    assert ClipPool.open(tmp_path / "pool").clips == [
        Clip("someone/pond", "all frogs.wav", "CC BY 4.0", 0, 8000),
        Clip("someone/pond", "all frogs.wav", "CC BY 4.0", 8000, 8000),
    ]


def test_recordings_with_labels_for_evaluation_are_left_out(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.ogg").write_bytes(encoded("OGG", 0.5, 300 + number))
    (tmp_path / "corpus.csv").write_text(
        "path,source,original_path,licence\n"
        "0.ogg,karoldvl/ESC-10 (commit 553c8f1),001 - Dog bark/1.ogg,CC BY 3.0\n"
        "1.ogg,someone/pond,frogs.wav,CC0\n"
        "2.ogg,karolpiczak/ESC-50,audio/2.wav,CC BY-NC 3.0\n"
    )
    with ClipWriter(tmp_path / "pool") as writer:
        add_recordings(writer, tmp_path)
    assert {clip.source for clip in ClipPool.open(tmp_path / "pool").clips} == {"someone/pond"}


def test_recordings_have_an_unknown_licence_without_an_index(folder: Path, tmp_path: Path) -> None:
    with ClipWriter(tmp_path / "pool") as writer:
        add_recordings(writer, folder, every=3)
    clips = ClipPool.open(tmp_path / "pool").clips
    assert [(clip.source, clip.recording) for clip in clips] == [
        (folder.name, "a.WAV"),
        (folder.name, "d.rcc/1"),
        (folder.name, "e.wad/DSPISTOL"),
    ]
    assert {clip.licence for clip in clips} == {"unknown"}


def test_sources_are_unique_sorted_and_have_a_licence() -> None:
    packages = read_sources()
    names = [package.name for package in packages]
    assert names == sorted(set(names))
    assert all(package.licence and package.what and package.max_minutes >= 0 for package in packages)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_packages_are_unpacked_once_and_missing_ones_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    requested = []

    def download(name: str, folder: Path) -> None:
        requested.append(name)
        if name == "gone":
            raise subprocess.CalledProcessError(100, "apt-get", stderr=b"E: Unable to locate package gone\n")
        root = tmp_path / "source"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: frogs\n"
        )
        (root / "usr").mkdir()
        (root / "usr" / "frog.wav").write_bytes(encoded("WAV"))
        subprocess.run(
            ["dpkg-deb", "--build", root, folder / f"{name}_1_all.deb"], check=True, capture_output=True
        )

    packages = tmp_path / "packages"
    assert fetch(["frogs", "gone"], packages, download) == ["gone"]
    assert "gone could not be fetched: E: Unable to locate package gone" in caplog.text
    assert [path.name for path in packages.iterdir()] == ["frogs"]
    assert [file.name for file in find_audio_files(packages / "frogs")] == ["usr/frog.wav"]
    assert fetch(["frogs"], packages, download) == []
    assert requested == ["frogs", "gone"]


def test_packages_are_downloaded_with_apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text('#!/bin/sh\necho "$@" > frogs.deb\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "to").mkdir()
    apt_download("frogs", tmp_path / "to")
    assert (tmp_path / "to" / "frogs.deb").read_text() == "download --quiet frogs\n"
