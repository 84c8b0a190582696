"""The model of a bundle, whatever its kind: from log-mels to class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.clip_network import ClipNetwork
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.manifest import LABELS
from audio_classifier.model.patch_network import PatchNetwork


class Network(Protocol):
    """A loaded model, which any number of threads can share.

    A step is 96 frames of log-mels, the unit of windows.
    """

    @property
    def min_window_steps(self) -> int:
        """The shortest window of a timeline."""

    @property
    def classes(self) -> int:
        """The number of classes."""

    def encode(self, log_mel: NDArray[np.float32]) -> NDArray[Any]:
        """Encode ``(steps * 96, bands)`` log-mels as ``(steps, ...)``, once for all windows with them."""

    def classify_windows(self, encoded: NDArray[Any]) -> NDArray[np.float32]:
        """Compute ``(windows, classes)`` probabilities from ``(windows, steps, ...)`` encoded steps."""

    def classify_clips(
        self, clips: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Compute ``(clips, classes)`` probabilities from ``(frames, bands)`` log-mels of each.

        Returns
        -------
        The probabilities, and the time of each stage in seconds.
        """


def load_network(bundle: Bundle, threads: int) -> tuple[Network, LabelSet]:
    """Load the model of a bundle, and its labels.

    Parameters
    ----------
    threads
        Number of CPUs for the network.

    Raises
    ------
    BundleInvalidError
        If the parts of the bundle do not match.
    """
    labels = LabelSet.read(bundle.path(LABELS))
    network: Network
    if bundle.manifest.front_end is None:
        network = PatchNetwork(bundle, threads)
    else:
        network = ClipNetwork(bundle, threads, bands=bundle.manifest.front_end.mel_bands, classes=len(labels))
    if network.classes != len(labels):
        raise BundleInvalidError(
            f"expected a label per class, got {network.classes} classes and {len(labels)} labels"
        )
    return network, labels
