from __future__ import annotations

import random
from unittest.mock import Mock

import pytest

from audio_classifier.aws_lambda import snapstart
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedClassifier:
    """A classifier that is not loaded."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return SharedClassifier(Settings.from_environment({}))


@pytest.mark.parametrize("installed", [True, False], ids=["with HTTP", "without HTTP"])
def test_model_and_installed_entry_points_are_warmed_up(
    shared: SharedClassifier, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(snapstart, "find_spec", lambda _: object() if installed else None)
    create_client, warm_up_http = Mock(), Mock()
    monkeypatch.setattr("audio_classifier.service.object_access.s3_client", create_client)
    snapstart.warm_up(shared, ObjectAccess(shared.settings), warm_up_http)
    assert shared.ready
    create_client.assert_called_once_with()
    assert warm_up_http.call_count == installed


def test_failing_warm_up_is_raised(shared: SharedClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapstart, "find_spec", lambda _: object())
    with pytest.raises(ZeroDivisionError):
        snapstart.warm_up(shared, ObjectAccess(shared.settings), lambda: 1 / 0)


def test_restored_environment_has_its_own_client_and_random_state(shared: SharedClassifier) -> None:
    access = ObjectAccess(shared.settings)
    client, state = access.client(), random.getstate()
    snapstart.renew(access)
    assert access.client() is not client
    assert random.getstate() != state
