"""Classifies sounds: audio in, the most likely of AudioSet's 527 classes out."""

from __future__ import annotations

from audio_classifier.classifier import AudioClassifier
from audio_classifier.errors import AudioClassifierError
from audio_classifier.selection import Prediction, Selection
from audio_classifier.timeline import Event, Hysteresis, TimelineWindow

__all__ = [
    "AudioClassifier",
    "AudioClassifierError",
    "Event",
    "Hysteresis",
    "Prediction",
    "Selection",
    "TimelineWindow",
]
