"""Draw the pictures of the documents: ``python assets/make_pictures.py [OUT_DIR]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audio_classifier.cli.parser import main as audio_classifier
from audio_classifier.constants import SAMPLE_RATE_HZ

ASSETS: Final = Path(__file__).parent
SCENE: Final = {"speech.wav": 0, "church-bell.wav": 9, "thunder.wav": 18, "siren.wav": 26, "melody.wav": 34}
SCENE_S: Final = 42


def scene() -> NDArray[Any]:
    """Our sounds, each from its second of `SCENE` on, mixed at 16 kHz."""
    mixed = np.zeros(SCENE_S * SAMPLE_RATE_HZ)
    for name, start_s in SCENE.items():
        sound, rate_hz = soundfile.read(ASSETS / name)
        sound = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ)
        place = mixed[start_s * SAMPLE_RATE_HZ :][: len(sound)]
        place += sound[: len(place)]
    return mixed


def main() -> None:
    out_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS.parent / "docs" / "pictures"
    out_dir.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "scene.wav")
        soundfile.write(recording, scene(), SAMPLE_RATE_HZ, subtype="PCM_16")
        sys.exit(audio_classifier(["plot", str(recording), "-o", str(out_dir / "timeline.png")]))


if __name__ == "__main__":
    main()
