from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import audio_classifier
from audio_classifier import errors


def test_every_public_name_can_be_imported() -> None:
    for name in audio_classifier.__all__:
        assert getattr(audio_classifier, name) is not None
    assert dir(audio_classifier) == sorted(audio_classifier.__all__)
    assert audio_classifier.__version__ == version("serverless-audio-classifier")


def test_import_star_gives_the_public_names() -> None:
    script = "from audio_classifier import *; print(AudioClassifier.__name__, Window.__name__, __version__)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["AudioClassifier", "Window", audio_classifier.__version__]


@pytest.mark.parametrize(("old", "new"), [("Event", "SoundEvent"), ("TimelineWindow", "Window")])
def test_renamed_public_name_warns_and_works(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        assert getattr(audio_classifier, old) is getattr(audio_classifier, new)


def test_renamed_error_warns_and_works() -> None:
    with pytest.warns(DeprecationWarning, match="is now ResultConflictError"):
        assert errors.PlaceTakenError is errors.ResultConflictError


@pytest.mark.parametrize("module", [audio_classifier, errors])
def test_unknown_name_raises_attribute_error(module: object) -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # type: ignore[attr-defined]  # noqa: B018
