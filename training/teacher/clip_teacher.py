"""An optional second teacher, which scores ten seconds, or two, from a bundle such as EfficientAT's.

YAMNet scores single patches and does not know all classes of AudioSet. A network that reads whole clips
does, and is right more often; on windows as short as a patch it is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.audio.log_mel import clip_log_mel
from audio_classifier.constants import CLASSES, CLIP_PATCHES, PATCH_FRAMES, SAMPLE_RATE_HZ
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.network import load_network
from training.data.mixtures import MIXTURE_SAMPLES
from training.data.windows import span_samples

PAIR_PATCHES: Final = 2  # the shorter windows
LAST_FRAMES: Final = 2  # a patch lasts 0.975 s, and centred frames begin and end with it
LOGIT_LIMIT: Final = 16.0  # of the logits that are computed from probabilities


class ClipTeacherError(Exception):
    """The bundle cannot be a clip teacher."""


class ClipLogits(NamedTuple):
    """Logits of the windows that begin with each patch of a recording, float32.

    Attributes
    ----------
    clip
        ``(patches, 527)``, of ten patches; the last windows end with the recording, and a shorter recording
        is repeated, as at inference.
    pair
        ``(patches, 527)``, of two patches; NaN for the last patch.
    """

    clip: NDArray[np.float32]
    pair: NDArray[np.float32]


class ClipTeacher:
    """The network of a bundle that reads clips.

    Parameters
    ----------
    folder
        The bundle.
    threads
        Number of CPUs for the network.

    Raises
    ------
    BundleError
        If the bundle cannot be opened.
    ClipTeacherError
        If its model does not read clips, at a rate of 100 frames a second as the patches have, or does not
        score AudioSet's 527 classes.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        bundle = Bundle.open(folder)
        fields = bundle.manifest.front_end
        self._network, labels = load_network(bundle, threads)
        if fields is None or len(labels) != CLASSES:
            raise ClipTeacherError(f"{folder}: expected a model of clips with {CLASSES} classes")
        self._front_end = FrontEnd(**fields.model_dump())
        if self._front_end.step_s != PATCH_FRAMES / 100:
            raise ClipTeacherError(f"{folder}: expected 100 frames per second")

    def __call__(self, signal: NDArray[np.float32], patches: int) -> ClipLogits:
        """Score the windows of a recording.

        Parameters
        ----------
        signal
            ``(n,)``, 16 kHz.
        patches
            Number of whole patches in the signal, at least 1.
        """
        log_mel = self._log_mel(signal[: span_samples(patches)])
        pairs = [_window(log_mel, patch, PAIR_PATCHES) for patch in range(patches - 1)]
        pair = np.full((patches, CLASSES), np.nan, np.float32)
        if pairs:
            pair[:-1] = self._logits(pairs)
        if patches < CLIP_PATCHES:
            repeated = np.resize(signal[: span_samples(patches)], MIXTURE_SAMPLES)
            clips = [_window(self._log_mel(repeated), 0, CLIP_PATCHES)]
        else:
            clips = [_window(log_mel, patch, CLIP_PATCHES) for patch in range(patches - CLIP_PATCHES + 1)]
        begun = np.minimum(np.arange(patches), len(clips) - 1)
        return ClipLogits(self._logits(clips)[begun], pair)

    def _log_mel(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        resampled = soxr.resample(signal, SAMPLE_RATE_HZ, self._front_end.sample_rate_hz, "VHQ")
        return clip_log_mel(resampled, self._front_end)

    def _logits(self, log_mels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        probabilities, _ = self._network.classify_clips(log_mels)
        with np.errstate(divide="ignore"):
            logits = np.log(probabilities) - np.log1p(-probabilities)
        return np.asarray(np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT), np.float32)


def _window(log_mel: NDArray[np.float32], patch: int, patches: int) -> NDArray[np.float32]:
    """Cut the frames that the samples of patches have."""
    return log_mel[PATCH_FRAMES * patch : PATCH_FRAMES * (patch + patches) + LAST_FRAMES]
