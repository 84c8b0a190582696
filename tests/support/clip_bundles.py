"""A front end and bundles for networks that read clips."""

from __future__ import annotations

from typing import Final

from audio_classifier.audio.front_end import FrontEnd

EFFICIENTAT: Final = FrontEnd(
    sample_rate_hz=32_000,
    window_samples=800,
    hop_samples=320,
    fft_size=1024,
    window="hann_symmetric",
    is_centred=True,
    pre_emphasis=0.97,
    spectrum="power",
    mel_bands=128,
    mel_min_hz=0.0,
    mel_max_hz=15_000.0,
    log_offset=1e-5,
    log_shift=4.5,
    log_scale=5.0,
    precision="float32",
)
