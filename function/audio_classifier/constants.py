"""Constants of the published pipeline, each with its source.

Sources
-------
``IBM``
    IBM/MAX-Audio-Classifier, ``core/``, the reference implementation.
``VGGish``
    tensorflow/models, ``research/audioset/vggish``, the origin of IBM's front end and network.
``MLA``
    Yu et al., *Multi-level Attention Model for Weakly Supervised Audio Classification*,
    arXiv:1803.02353, and its code, qiuqiangkong/audioset_classification.
"""

from __future__ import annotations

from typing import Final

# Front end (VGGish `vggish_params.py`, `mel_features.py`; unchanged by IBM).
SAMPLE_RATE_HZ: Final = 16_000
FRAME_SAMPLES: Final = 400  # 25 ms
HOP_SAMPLES: Final = 160  # 10 ms
FFT_SIZE: Final = 512  # the smallest power of two that holds one frame
MEL_BANDS: Final = 64
MEL_MIN_HZ: Final = 125.0
MEL_MAX_HZ: Final = 7500.0
LOG_OFFSET: Final = 0.01

# Patches: 96 frames that do not overlap, 0.96 s (VGGish `EXAMPLE_WINDOW_SECONDS`, `EXAMPLE_HOP_SECONDS`).
PATCH_FRAMES: Final = 96
PATCH_HOP_SAMPLES: Final = PATCH_FRAMES * HOP_SAMPLES  # 15,360
PATCH_SAMPLES: Final = (PATCH_FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES  # 15,600: the length of one patch
PATCH_S: Final = PATCH_HOP_SAMPLES / SAMPLE_RATE_HZ  # 0.96

# Embedding (VGGish `EMBEDDING_SIZE`) and its 8-bit code (`vggish_postprocess.py`).
EMBEDDING_SIZE: Final = 128
QUANTIZE_MIN: Final = -2.0
QUANTIZE_MAX: Final = 2.0

# Classifier (MLA `keras/main.py`; IBM `core/model.py`).
CLIP_PATCHES: Final = 10  # the head classifies ten patches at once
ATTENTION_EPSILON: Final = 1e-7
TOP_K: Final = 5
CLASSES: Final = 527  # AudioSet, `class_labels_indices.csv`

# Sound events, which the original does not have.  A window is short enough to locate a sound in time, and
# long enough to identify it.
EVENT_WINDOW_S: Final = 3 * PATCH_S
EVENT_HOP_S: Final = PATCH_S
EVENT_THRESHOLD: Final = 0.3  # probability at which an event begins
EVENT_RELEASE: Final = 0.5  # share of the threshold below which an event ends

# The version of the decoding, which results record.  It is raised when recordings are read differently, so
# that results of an older version are replaced.
READER_VERSION: Final = 2

# Accepted sample rates, which the original does not limit: from narrow-band speech to ultrasonic recorders.
MIN_SOURCE_RATE_HZ: Final = 4_000
MAX_SOURCE_RATE_HZ: Final = 384_000
