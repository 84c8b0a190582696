"""Classifies sounds: audio in, the most likely of AudioSet's 527 classes out."""

from __future__ import annotations

import os

# Sounds are worked on side by side, and calls of numpy's BLAS that have threads of their own slow each other
# down tenfold.  It reads this when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from audio_classifier.errors import AudioClassifierError
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.selection import Prediction, Selection
from audio_classifier.inference.sound_events import Event, Hysteresis, TimelineWindow

__all__ = [
    "AudioClassifier",
    "AudioClassifierError",
    "Event",
    "Hysteresis",
    "Prediction",
    "Selection",
    "TimelineWindow",
]
