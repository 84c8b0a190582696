"""Classifies sounds: audio in, the most likely of AudioSet's 527 classes out."""

from __future__ import annotations

from audio_classifier.classifier import AudioClassifier, Prediction, TimelineWindow
from audio_classifier.errors import AudioClassifierError

__all__ = ["AudioClassifier", "AudioClassifierError", "Prediction", "TimelineWindow"]
