"""Compute log-mel frames, as VGGish (``mel_features.py`` in tensorflow/models) and similar networks do."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.constants import PATCH_FRAMES

# Multiplications per matrix product.  OpenBLAS computes products of up to 2^18 in one thread; with several
# threads, concurrent calls slow each other down tenfold.
MATMUL_OPERATIONS: Final = 1 << 18


def hertz_to_mel(frequency_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert hertz to HTK's mel scale, ``1127 ln(1 + f / 700)`` (Young et al., *The HTK Book*)."""
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0))


@cache
def mel_matrix(front_end: FrontEnd = VGGISH) -> NDArray[np.float64]:
    """Compute triangular bands, equally wide in mel.

    Returns
    -------
    ``(fft_size / 2 + 1, bands)`` float64, the weight of each FFT bin in each band; those of DC are zero.
    """
    bins_hz = np.linspace(0.0, front_end.sample_rate_hz / 2, front_end.fft_size // 2 + 1)
    bins = hertz_to_mel(bins_hz)[:, np.newaxis]
    edges = np.linspace(
        hertz_to_mel(front_end.mel_min_hz), hertz_to_mel(front_end.mel_max_hz), front_end.mel_bands + 2
    )
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(
        0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    )
    weights[0] = 0.0
    return np.asarray(weights)


def periodic_hann(length: int) -> NDArray[np.float64]:
    """Compute a Hann window of period ``length``, ``(length,)`` float64; `numpy.hanning` is symmetric."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi / length * np.arange(length)))


def log_mel_patches(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Cut a waveform into VGGish's patches of 96 log-mel frames; an incomplete patch at the end is dropped.

    Parameters
    ----------
    samples
        ``(n,)``, mono, 16 kHz.

    Returns
    -------
    ``(patches, 96, 64)`` float32, ``log(mel + 0.01)`` of magnitudes (not powers); empty if ``n < 15,600``.
    """
    return step_log_mel(samples).reshape(-1, PATCH_FRAMES, VGGISH.mel_bands)


def step_log_mel(samples: NDArray[Any], front_end: FrontEnd = VGGISH, before: int = 0) -> NDArray[np.float32]:
    """Compute the log-mel frames of whole steps, ``(steps * 96, bands)`` float32; see `log_mel_frames`."""
    steps = front_end.whole_frames(len(samples) - before) // PATCH_FRAMES
    return log_mel_frames(samples, front_end, before=before, frames=steps * PATCH_FRAMES)


def clip_log_mel(samples: NDArray[Any], front_end: FrontEnd = VGGISH) -> NDArray[np.float32]:
    """Compute the log-mel frames of a clip, ``(frames, bands)`` float32.

    A front end that is not centred has whole patches only, as VGGish.
    """
    return log_mel_frames(samples, front_end) if front_end.is_centred else step_log_mel(samples, front_end)


def log_mel_frames(
    samples: NDArray[Any], front_end: FrontEnd = VGGISH, *, before: int = 0, frames: int | None = None
) -> NDArray[np.float32]:
    """Compute log-mel frames.

    VGGish's front end uses float64, as the original does: float32 deviates by up to 1e-4 near a loud tone and
    saves little time.

    Parameters
    ----------
    samples
        ``(n,)``, mono, at the front end's rate.
    before
        How many samples precede the position of the first frame.  Where a centred frame covers more, the
        samples are reflected.
    frames
        The number of frames; all that the samples have if omitted.

    Returns
    -------
    ``(frames, bands)`` float32.
    """
    if frames is None:
        frames = front_end.whole_frames(len(samples) - before)
    log_mel = np.empty((frames, front_end.mel_bands), np.float32)
    if frames == 0:
        return log_mel
    window, mel = _operators(front_end)
    windows = np.lib.stride_tricks.sliding_window_view(
        _padded(samples, front_end, before, frames), front_end.window_samples
    )[:: front_end.hop_samples]
    # One patch at a time, so that intermediate results stay in the CPU's cache.
    for begin in range(0, frames, PATCH_FRAMES):
        part = log_mel[begin : begin + PATCH_FRAMES]
        spectrum = np.fft.rfft(windows[begin : begin + len(part)] * window, front_end.fft_size)
        bins = np.abs(spectrum) if front_end.spectrum == "magnitude" else spectrum.real**2 + spectrum.imag**2
        rows = math.gcd(len(part), max(1, MATMUL_OPERATIONS // mel.size))
        bands = bins[:, 1:].reshape(-1, rows, len(mel)) @ mel
        part[:] = np.log(bands.reshape(part.shape) + front_end.log_offset)
    if front_end.log_shift:
        log_mel += np.float32(front_end.log_shift)
    if front_end.log_scale != 1:
        log_mel /= np.float32(front_end.log_scale)
    return log_mel


@cache
def _operators(front_end: FrontEnd) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the window, and the weights of all bins but DC, in the front end's precision."""
    length = front_end.window_samples
    window = periodic_hann(length) if front_end.window == "hann_periodic" else np.hanning(length)
    mel = mel_matrix(front_end)[1:]
    return window.astype(front_end.precision), mel.astype(front_end.precision)


def _padded(samples: NDArray[Any], front_end: FrontEnd, before: int, frames: int) -> NDArray[Any]:
    """Return the pre-emphasised samples that the frames cover, reflected where there are none."""
    samples = samples.astype(front_end.precision, copy=False)
    if front_end.pre_emphasis:
        samples = samples[1:] - np.asarray(front_end.pre_emphasis, samples.dtype) * samples[:-1]
    skipped = before - front_end.lead_samples
    if skipped >= 0:
        samples = samples[skipped:]
    needed = (frames - 1) * front_end.hop_samples + front_end.window_samples
    missing = needed - len(samples) - max(0, -skipped)
    if skipped < 0 or missing > 0:
        samples = np.pad(samples, (max(0, -skipped), max(0, missing)), mode="reflect")
    return samples
