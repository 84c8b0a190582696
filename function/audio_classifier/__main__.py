"""``python -m audio_classifier`` is ``audio-classifier``."""

import sys

from audio_classifier.cli.parser import main

sys.exit(main())
