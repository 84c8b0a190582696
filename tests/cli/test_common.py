from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.model.bundle import Bundle
from tests.cli.commands import run


def test_option_replaces_the_bundle_of_the_environment(
    assets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_CLASSIFIER_BUNDLE", "nowhere")
    assert run("classify", assets / "rain.wav") == 2
    assert run("classify", assets / "rain.wav", "--bundle", "compact") == 0
    capsys.readouterr()


def test_environment_sets_threads_and_cache_directory(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    used: dict[str, Any] = {}

    def open_and_record(uri: str, **options: Any) -> Bundle:
        used.update(options)
        return open_bundle(uri)

    class RecordingClassifier(AudioClassifier):
        def __init__(self, bundle: Bundle, *, threads: int | None = None, **options: Any) -> None:
            used["threads"] = threads
            super().__init__(bundle, threads=threads, **options)

    monkeypatch.setattr("audio_classifier.hub.bundles.open_bundle", open_and_record)
    monkeypatch.setattr("audio_classifier.inference.classifier.AudioClassifier", RecordingClassifier)
    monkeypatch.setenv("AUDIO_CLASSIFIER_THREADS", "1")
    monkeypatch.setenv("AUDIO_CLASSIFIER_CACHE_DIR", str(tmp_path / "cache"))
    assert run("classify", assets / "rain.wav") == 0
    assert used["threads"] == 1
    assert used["cache_dir"] == tmp_path / "cache"


def test_network_has_half_of_the_threads_for_several_files(
    assets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    used: list[int | None] = []

    class RecordingClassifier(AudioClassifier):
        def __init__(self, bundle: Bundle, *, threads: int | None = None, **options: Any) -> None:
            used.append(threads)
            super().__init__(bundle, threads=threads, **options)

    monkeypatch.setattr("audio_classifier.inference.classifier.AudioClassifier", RecordingClassifier)
    monkeypatch.setenv("AUDIO_CLASSIFIER_THREADS", "4")
    assert run("classify", assets / "rain.wav") == 0
    assert run("classify", assets / "rain.wav", assets / "siren.wav") == 0
    assert used == [4, 2]
