"""Synthesis: reproducible recipes, measurable properties of signals, styles, voices and instruments."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from audio_classifier.constants import SAMPLE_RATE_HZ
from training.pool import build
from training.synthesis import dsp, music, procedural, voices
from training.synthesis.instruments import Instruments
from training.synthesis.procedural import synthesise
from training.synthesis.registry import RECIPES

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")


def peak_hz(signal: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(signal))) * SAMPLE_RATE_HZ / len(signal))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_reproducible_and_varies_by_number(name: str) -> None:
    first, repeated, other = synthesise(name, 0, 1.5), synthesise(name, 0, 1.5), synthesise(name, 1, 1.5)
    assert first.shape == (24_000,)
    assert np.abs(first).max() == pytest.approx(procedural.PEAK)
    np.testing.assert_array_equal(first, repeated)
    assert not np.array_equal(first, other)


def test_harmonics_are_at_multiples_and_left_out_when_they_would_alias() -> None:
    rng = np.random.default_rng(0)
    assert peak_hz(dsp.harmonics(rng, 1000, [0.1, 1], 16_000)) == pytest.approx(2000)
    assert not dsp.harmonics(rng, 4000, [0, 1, 1], 16_000).any()


def test_a_band_passes_its_frequencies_and_does_not_wrap_around() -> None:
    noise = dsp.band(np.random.default_rng(0).standard_normal(16_000), 1000, 2000, 4)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[800:2500].sum() > 0.9 * power.sum()
    click = np.zeros(1000)
    click[0] = 1
    assert np.abs(dsp.band(click, 500, 1000)[-100:]).max() < 0.01


def test_a_voice_resonates_at_its_formants() -> None:
    voice = dsp.voiced(np.random.default_rng(0), np.full(16_000, 100.0), [(1500, 1)], 0.0)
    assert peak_hz(voice) == pytest.approx(1500, abs=110)


@pytest.mark.parametrize(("slope", "octave_db"), [(0, 3.0), (1, 0.0), (2, -3.0)])
def test_coloured_noise_has_the_given_slope(slope: float, octave_db: float) -> None:
    power = np.abs(np.fft.rfft(dsp.coloured(np.random.default_rng(0), 160_000, slope))) ** 2
    ratio = power[20_000:40_000].sum() / power[10_000:20_000].sum()
    assert 10 * np.log10(ratio) == pytest.approx(octave_db, abs=0.2)


def test_styles_compose_notes_within_the_range_of_midi() -> None:
    for name, style in music.read_styles().items():
        programs, notes = music.ensemble(np.random.default_rng(0), style, 10)
        assert set(programs.values()) <= set(range(128)), name
        assert {note.channel for note in notes} <= {*programs, music.DRUM_CHANNEL}, name
        assert all(0 <= note.key < 128 and 0 < note.velocity < 128 for note in notes), name
        assert max(note.end_s for note in notes) > 8, name


def test_patterns_are_struck_in_time_with_and_without_swing() -> None:
    assert list(music.struck("x..x", 2.0, 0.5)) == pytest.approx(
        [0, 0.375, 0.5, 0.875, 1.0, 1.375, 1.5, 1.875]
    )
    assert list(music.struck("..x.", 1.0, 0.5, swing=1.0)) == pytest.approx([0.5, 1.0])


@needs_espeak
def test_all_languages_and_variants_produce_speech() -> None:
    rng = np.random.default_rng(0)
    for number in range(len(voices.LANGUAGES)):
        assert len(voices.utterance(rng, number)) > SAMPLE_RATE_HZ
    for variant in voices.VARIANTS:
        assert np.std(voices.speak("12", f"en-us{variant}", 160, 50)) > 1e-3


@needs_espeak
def test_a_quick_pool_contains_synthetic_clips_and_is_built_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procedural, "DURATION_S", 0.5)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    pool = build(tmp_path / "work", recordings, quick=True)
    assert {clip.source for clip in pool.clips} == {procedural.SOURCE, voices.SOURCE}
    assert {clip.recording.split("/")[0] for clip in pool.clips} > set(RECIPES)
    assert len(build(tmp_path / "work", recordings, quick=True)) == len(pool)


def test_instruments_play_in_tune(tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont", reason="needs tinysoundfont")
    font = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
    if not font.exists():
        pytest.skip("needs the package timgm6mb-soundfont")
    signal = Instruments(font).play({0: 73}, [music.Note(0, 1, 0, 69, 100)], 1.0)
    assert signal.shape == (SAMPLE_RATE_HZ,)
    assert peak_hz(signal) == pytest.approx(440, rel=0.02)
