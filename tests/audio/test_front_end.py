"""Front ends other than VGGish's, against a direct computation, published values, and across blocks."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.audio.log_mel import log_mel_frames, log_mel_patches, mel_matrix, step_log_mel
from audio_classifier.audio.reader import AudioReader
from audio_classifier.model.manifest import FrontEndFields
from tests.support.clip_bundles import EFFICIENTAT
from tests.support.sounds import busy, encode

MONO = busy(4, 32_000)[:, 0]
FRONT_ENDS = [
    EFFICIENTAT,
    replace(EFFICIENTAT, pre_emphasis=0.0, spectrum="magnitude", precision="float64"),
    replace(EFFICIENTAT, sample_rate_hz=22_050, hop_samples=220, window="hann_periodic", mel_max_hz=11_000.0),
]


def direct(samples: NDArray[Any], front_end: FrontEnd) -> NDArray[np.float64]:
    """Compute centred frames one by one, in float64, with the reflected ends that PyTorch has."""
    samples = samples.astype(np.float64)
    if front_end.pre_emphasis:
        samples = samples[1:] - front_end.pre_emphasis * samples[:-1]
    padded = np.pad(samples, front_end.fft_size // 2, mode="reflect")
    length = front_end.window_samples
    window = np.hanning(length) if front_end.window == "hann_symmetric" else np.hanning(length + 1)[:-1]
    side = (front_end.fft_size - length) // 2
    window = np.pad(window, (side, front_end.fft_size - length - side))
    frames = []
    for begin in range(0, len(padded) - front_end.fft_size + 1, front_end.hop_samples):
        bins = np.abs(np.fft.rfft(padded[begin : begin + front_end.fft_size] * window))
        power = bins**2 if front_end.spectrum == "power" else bins
        log = np.log(power @ mel_matrix(front_end) + front_end.log_offset)
        frames.append((log + front_end.log_shift) / front_end.log_scale)
    return np.array(frames)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("samples", [64_000, 64_001, 63_681, 20_000, 1_200])
def test_frames_equal_a_direct_computation(front_end: FrontEnd, samples: int) -> None:
    expected = direct(MONO[:samples], front_end)
    frames = log_mel_frames(MONO[:samples], front_end)
    assert len(frames) == front_end.whole_frames(samples) == len(expected)
    np.testing.assert_allclose(frames, expected, atol=2e-4)


@pytest.mark.parametrize("front_end", [VGGISH, *FRONT_ENDS])
@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("duration_s", [0.4, 1.0, 7.7, 20.16])
def test_frames_of_blocks_equal_those_of_the_whole_recording(
    front_end: FrontEnd, steps: int, duration_s: float
) -> None:
    signal = busy(duration_s, front_end.sample_rate_hz)
    with AudioReader(
        encode(signal, front_end.sample_rate_hz, subtype="FLOAT"), front_end=front_end
    ) as reader:
        frames = [step_log_mel(samples, front_end, before) for samples, before in reader.blocks(steps)]
    whole = signal[:, 0] if len(signal) >= front_end.min_samples else np.resize(signal, front_end.min_samples)
    expected = step_log_mel(whole, front_end)
    assert len(expected) > 0
    np.testing.assert_allclose(np.concatenate(frames), expected, atol=1e-5)


def test_vggish_has_the_patches_of_the_original() -> None:
    assert (VGGISH.step_samples, VGGISH.min_samples, VGGISH.clip_samples) == (15_360, 15_600, 153_840)
    assert log_mel_patches(busy(3, 16_000)[:, 0]).shape == (3, 96, 64)
    assert (EFFICIENTAT.step_s, EFFICIENTAT.clip_samples) == (0.96, 320_000)
    assert EFFICIENTAT.whole_frames(320_000) == 1000


def test_manifest_has_the_fields_of_the_front_end() -> None:
    assert set(FrontEndFields.model_fields) == {field.name for field in fields(FrontEnd)}
    assert FrontEnd(**FrontEndFields(**asdict(VGGISH)).model_dump()) == VGGISH


def test_efficientat_front_end_equals_published_values(golden_data: Path) -> None:
    model = golden_data / "models" / "efficientat-mn04"
    if not model.exists():
        pytest.skip("the published outputs of EfficientAT are not available")
    golden = np.load(model / "golden.npz")
    for recording in sorted((golden_data / "samples").glob("*.wav")):
        samples, rate_hz = soundfile.read(recording, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate_hz, 32_000, quality="VHQ")[32_000:96_000]
        expected = golden[f"{recording.stem}/2s/log_mel"].T
        np.testing.assert_allclose(log_mel_frames(mono, EFFICIENTAT), expected, atol=1e-3)
