"""Draw the pictures of the documentation: ``python assets/make_pictures.py [OUT_DIR]``."""

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
    """Mix the sample recordings at 16 kHz, each starting at its second of `SCENE`."""
    mixed = np.zeros(SCENE_S * SAMPLE_RATE_HZ)
    for name, start_s in SCENE.items():
        samples, rate_hz = soundfile.read(ASSETS / name)
        samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
        section = mixed[start_s * SAMPLE_RATE_HZ :][: len(samples)]
        section += samples[: len(section)]
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
