"""``python -m audio_classifier`` is ``audio-classifier``."""

import sys

from audio_classifier.cli import main

sys.exit(main())
