from __future__ import annotations

from unittest.mock import Mock

import pytest

from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier


def test_whoever_comes_late_is_told_of_the_model_too() -> None:
    service = SharedClassifier(Settings.from_environment({}))
    early, late = Mock(), Mock()
    service.observe(early)
    early.model_loaded.assert_not_called()
    service.load()
    early.model_loaded.assert_called_once()
    service.observe(late)
    late.model_loaded.assert_called_once_with(*early.model_loaded.call_args.args)
    service.load()
    early.model_loaded.assert_called_once()


def test_nobody_is_told_of_a_model_that_could_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    service = SharedClassifier(Settings.from_environment({}))
    monkeypatch.setattr(
        "audio_classifier.service.shared_classifier.open_bundle", Mock(side_effect=OSError("broken"))
    )
    with pytest.raises(OSError, match="broken"):
        service.load()
    observer = Mock()
    service.observe(observer)
    observer.model_loaded.assert_not_called()
    assert (service.ready, service.failure) == (False, "broken")
