from __future__ import annotations

import random

import pytest

from audio_classifier.aws_lambda import snapstart as snapshot
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> SharedClassifier:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return SharedClassifier(Settings.from_environment({}))


@pytest.mark.parametrize("installed", [True, False])
def test_all_that_is_installed_is_warmed_up(
    service: SharedClassifier, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """A function for uploads alone may come without the packages for HTTP."""
    monkeypatch.setattr(snapshot, "find_spec", lambda _: object() if installed else None)
    opened = list[bool]()
    snapshot.warm_up(service, ObjectAccess(service.settings), lambda: opened.append(True))
    assert service.ready
    assert opened == [True] * installed


def test_environments_do_not_go_on_alike(service: SharedClassifier) -> None:
    access = ObjectAccess(service.settings)
    before, state = access.client(), random.getstate()
    snapshot.renew(access)
    assert access.client() is not before
    assert random.getstate() != state
