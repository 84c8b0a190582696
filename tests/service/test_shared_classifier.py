from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from audio_classifier import Hysteresis, SoundEvent, Window
from audio_classifier.errors import BundleInvalidError, DamagedAudioError, InvalidParameterError
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.support.sounds import busy, damaged_flac, encode

TEN_SECONDS: dict[str, Any] = {"window_s": 9.6, "hop_s": 9.6, "hysteresis": Hysteresis()}


@pytest.fixture
def shared() -> SharedClassifier:
    """A classifier that is not loaded."""
    return SharedClassifier(Settings.from_environment({}))


def test_observer_is_notified_of_the_model_whenever_it_is_added(shared: SharedClassifier) -> None:
    early, late = Mock(), Mock()
    shared.observe(early)
    early.model_loaded.assert_not_called()
    shared.load()
    early.model_loaded.assert_called_once()
    shared.observe(late)
    late.model_loaded.assert_called_once_with(*early.model_loaded.call_args.args)
    shared.load()
    early.model_loaded.assert_called_once()


def test_observer_is_not_notified_of_a_model_that_cannot_be_loaded(
    shared: SharedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "audio_classifier.service.shared_classifier.open_bundle", Mock(side_effect=OSError("broken"))
    )
    with pytest.raises(OSError, match="broken"):
        shared.load()
    observer = Mock()
    shared.observe(observer)
    observer.model_loaded.assert_not_called()
    assert (shared.ready, shared.failure) == (False, "broken")


def test_loading_is_tried_again_after_a_failure(
    shared: SharedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "audio_classifier.service.shared_classifier.open_bundle", Mock(side_effect=OSError("broken"))
        )
        with pytest.raises(OSError, match="broken"):
            shared.load()
    shared.load()
    assert (shared.ready, shared.failure) == (True, "")


def test_concurrent_threads_load_the_model_once(shared: SharedClassifier) -> None:
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(lambda _: shared.load(), range(4))
    assert all(other is first for other in others)


def test_observer_receives_classified_clips(shared: SharedClassifier, assets: Path) -> None:
    observer = Mock()
    shared.observe(observer)
    classification = shared.classify(assets / "rain.wav", top_k=1)
    observer.clip_classified.assert_called_once_with(classification)


def test_observer_receives_the_analyzed_seconds_of_a_recording(shared: SharedClassifier) -> None:
    observer = Mock()
    shared.observe(observer)
    windows = [
        item
        for item in shared.analyze(encode(busy(21, 16_000), 16_000), **TEN_SECONDS)
        if isinstance(item, Window)
    ]
    observer.recording_analyzed.assert_called_once_with(windows[-1].end_s)


def test_observer_receives_the_seconds_before_a_fault(shared: SharedClassifier) -> None:
    observer = Mock()
    shared.observe(observer)
    items = shared.analyze(damaged_flac(60), **TEN_SECONDS)
    observer.recording_analyzed.assert_not_called()
    ends_s: list[float] = []
    with pytest.raises(DamagedAudioError):
        ends_s.extend(item.end_s for item in items if isinstance(item, Window))
    assert 0 < ends_s[-1] <= 30
    observer.recording_analyzed.assert_called_once_with(ends_s[-1])


@pytest.mark.parametrize("arguments", [{"labels": ["nothing"]}, {"hop_s": 9.6}])
def test_refused_timeline_is_not_counted(
    shared_classifier: SharedClassifier, assets: Path, arguments: dict[str, Any]
) -> None:
    observer = Mock()
    shared_classifier.observe(observer)
    options: dict[str, Any] = {"window_s": 2.88, "hop_s": 0.96, "hysteresis": Hysteresis(), **arguments}
    with pytest.raises(InvalidParameterError):
        next(shared_classifier.analyze(assets / "rain.wav", **options))
    observer.recording_analyzed.assert_not_called()


def test_thresholds_of_the_deployment_apply_to_clips_and_timelines(tmp_path: Path, assets: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text('{"thresholds": {"Siren": 1}}')
    shared = SharedClassifier(replace(Settings.from_environment({}), thresholds=path))
    classification = shared.classify(assets / "siren.wav", top_k=None)
    assert "Siren" not in {prediction.label for prediction in classification.predictions}
    items = shared.analyze(assets / "siren.wav", **TEN_SECONDS)
    assert "Siren" not in {item.label for item in items if isinstance(item, SoundEvent)}


def test_invalid_thresholds_are_an_error_of_the_deployment(tmp_path: Path) -> None:
    shared = SharedClassifier(replace(Settings.from_environment({}), thresholds=tmp_path / "missing.json"))
    with pytest.raises(BundleInvalidError, match=r"AUDIO_CLASSIFIER_THRESHOLDS: .*No such file"):
        shared.load()
