"""The front end of a network: from samples to log-mel frames, described by numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from audio_classifier.constants import (
    CLIP_PATCHES,
    FFT_SIZE,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_MAX_HZ,
    MEL_MIN_HZ,
    PATCH_FRAMES,
    SAMPLE_RATE_HZ,
)

CLIP_S: Final = 10


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """How log-mel frames are computed: ``(log(mel + log_offset) + log_shift) / log_scale``.

    Attributes
    ----------
    sample_rate_hz
        The rate that recordings are resampled to.
    window_samples, hop_samples, fft_size
        The length of a frame, the distance between two, and the length of the Fourier transform.
    window
        The window function.
    is_centred
        Whether frame ``k`` is centred at sample ``k * hop_samples``, as in librosa and PyTorch; the ends of
        the recording are reflected.  Otherwise it begins there.
    pre_emphasis
        The factor ``p`` of ``y[n] = x[n + 1] - p x[n]``; 0 for none.
    spectrum
        Whether bands sum magnitudes or powers.
    mel_bands, mel_min_hz, mel_max_hz
        The number of triangular bands, equally wide on HTK's mel scale, and their range.
    log_offset, log_shift, log_scale
        See above.
    precision
        The data type of the computation.
    """

    sample_rate_hz: int = SAMPLE_RATE_HZ
    window_samples: int = FRAME_SAMPLES
    hop_samples: int = HOP_SAMPLES
    fft_size: int = FFT_SIZE
    window: Literal["hann_periodic", "hann_symmetric"] = "hann_periodic"
    is_centred: bool = False
    pre_emphasis: float = 0.0
    spectrum: Literal["magnitude", "power"] = "magnitude"
    mel_bands: int = MEL_BANDS
    mel_min_hz: float = MEL_MIN_HZ
    mel_max_hz: float = MEL_MAX_HZ
    log_offset: float = LOG_OFFSET
    log_shift: float = 0.0
    log_scale: float = 1.0
    precision: Literal["float32", "float64"] = "float64"

    @property
    def step_samples(self) -> int:
        """The samples from one step to the next; a step has 96 frames and is the unit of windows."""
        return PATCH_FRAMES * self.hop_samples

    @property
    def step_s(self) -> float:
        """The length of a step in seconds."""
        return self.step_samples / self.sample_rate_hz

    def seconds(self, frames: int) -> float:
        """Return the distance in seconds that ``frames`` frames span."""
        return frames * self.hop_samples / self.sample_rate_hz

    @property
    def lead_samples(self) -> int:
        """How many samples before the position of a frame the frame covers."""
        return self.window_samples // 2 if self.is_centred else 0

    @property
    def tail_samples(self) -> int:
        """How many samples from the position of a frame on the frame covers."""
        return self.window_samples - self.lead_samples + bool(self.pre_emphasis)

    @property
    def min_samples(self) -> int:
        """The samples of one step; shorter recordings are repeated."""
        return self.step_samples if self.is_centred else self.span_samples(PATCH_FRAMES)

    @property
    def clip_samples(self) -> int:
        """The samples of a clip of ten seconds, or of the ten whole patches in it."""
        if self.is_centred:
            return CLIP_S * self.sample_rate_hz
        return self.span_samples(CLIP_PATCHES * PATCH_FRAMES)

    def span_samples(self, frames: int) -> int:
        """Return how many samples ``frames`` frames cover from the position of the first one on."""
        return (frames - 1) * self.hop_samples + self.tail_samples

    def whole_frames(self, samples: int) -> int:
        """Return how many frames ``samples`` samples have, from the position of the first frame on."""
        if not self.is_centred:
            return max(0, 1 + (samples - self.tail_samples) // self.hop_samples)
        samples -= bool(self.pre_emphasis)
        return 1 + samples // self.hop_samples if samples > self.fft_size // 2 else 0


VGGISH: Final = FrontEnd()
