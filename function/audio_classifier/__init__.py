"""Classify audio: recordings in, the most probable of AudioSet's 527 classes, or of your own, out."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from audio_classifier.errors import AudioClassifierError
    from audio_classifier.inference.classifier import AudioClassifier
    from audio_classifier.inference.clip import Classification
    from audio_classifier.inference.embeddings import Embeddings
    from audio_classifier.inference.selection import Prediction, Selection
    from audio_classifier.inference.sound_events import Hysteresis, SoundEvent
    from audio_classifier.inference.windows import Window

    __version__: str

__all__ = [
    "AudioClassifier",
    "AudioClassifierError",
    "Classification",
    "Embeddings",
    "Hysteresis",
    "Prediction",
    "Selection",
    "SoundEvent",
    "Window",
    "__version__",
]

# Public names and their modules, which are imported at the first use (PEP 562).
_MODULES: Final = {
    "AudioClassifier": "inference.classifier",
    "AudioClassifierError": "errors",
    "Classification": "inference.clip",
    "Embeddings": "inference.embeddings",
    "Hysteresis": "inference.sound_events",
    "Prediction": "inference.selection",
    "Selection": "inference.selection",
    "SoundEvent": "inference.sound_events",
    "Window": "inference.windows",
}
# Former names, which version 0.3 will remove.
_RENAMED: Final = {"Event": "SoundEvent", "TimelineWindow": "Window"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("serverless-audio-classifier")
    if name in _RENAMED:
        warnings.warn(f"{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
