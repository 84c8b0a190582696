"""Reductions of recordings, compared with direct computations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio_classifier import AudioClassifier, Selection
from audio_classifier.audio.log_mel import log_mel_patches, step_log_mel
from audio_classifier.constants import PATCH_HOP_SAMPLES, PATCH_S
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label
from audio_classifier.plotting.reduction import MAX_COLUMNS, AudioOverview, ClassOverview, Columns, Track
from tests.support.sounds import busy, encode


def reduced(rows: NDArray[Any], step: int, function: Any) -> NDArray[Any]:
    """Compute the columns by definition."""
    return np.array([function(rows[i : i + step], axis=0) for i in range(0, len(rows), step)])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3 * MAX_COLUMNS), min_size=1, max_size=5))
def test_columns_do_not_depend_on_how_rows_are_split(sizes: list[int]) -> None:
    rows = np.random.default_rng(0).integers(-1000, 1000, (sum(sizes), 2))
    columns_by_function = {function: Columns(function) for function in (np.maximum, np.minimum, np.add)}
    for piece in np.split(rows, np.cumsum(sizes)[:-1]):
        for columns in columns_by_function.values():
            columns.add(piece)
    for function, by_definition in ((np.maximum, np.max), (np.minimum, np.min), (np.add, np.sum)):
        columns = columns_by_function[function]
        assert len(columns.columns) <= MAX_COLUMNS
        assert columns.step == 1 or len(columns.columns) > MAX_COLUMNS // 2
        assert columns.counts.sum() == len(rows)
        if len(rows):
            np.testing.assert_array_equal(columns.columns, reduced(rows, columns.step, by_definition))


def windows_of(classifier: AudioClassifier, source: Any, **arguments: Any) -> list[Window]:
    stream = classifier.analyze(source, hysteresis=None, **arguments)
    return [item for item in stream if isinstance(item, Window)]


def analyzed(
    classifier: AudioClassifier, source: Any, **arguments: Any
) -> tuple[AudioOverview, list[Window]]:
    overview = AudioOverview()
    return overview, windows_of(classifier, source, on_block=overview.add, **arguments)


@pytest.mark.parametrize(("window_s", "hop_s"), [(2.88, 0.96), (0.96, 0.96), (9.6, 9.6), (1.92, 4.8)])
def test_audio_overview_covers_each_sample_once(
    classifier: AudioClassifier, window_s: float, hop_s: float
) -> None:
    signal = busy(25.5, 16_000)[:, 0]
    overview, windows = analyzed(
        classifier, encode(signal, 16_000, subtype="FLOAT"), window_s=window_s, hop_s=hop_s
    )
    patches = log_mel_patches(signal)
    assert overview.start_s == 0
    assert overview.end_s == pytest.approx(len(patches) * PATCH_S)
    assert windows[-1].end_s == pytest.approx(overview.end_s)

    samples = signal[: len(patches) * PATCH_HOP_SAMPLES]
    edges_s, low, high = overview.envelope()
    step = round((edges_s[1] - edges_s[0]) * 16_000)
    np.testing.assert_array_equal(low, reduced(samples, step, np.min))
    np.testing.assert_array_equal(high, reduced(samples, step, np.max))
    assert edges_s[-1] == pytest.approx(overview.end_s)

    edges_s, log_mels = overview.log_mels()
    frames = patches.reshape(-1, 64)
    step = round((edges_s[1] - edges_s[0]) * 100)
    np.testing.assert_allclose(log_mels, reduced(frames, step, np.mean), atol=1e-5)
    assert edges_s[-1] == pytest.approx(overview.end_s)


@pytest.mark.parametrize("samples", [1, 5, 159, 161, 4_800])
def test_audio_overview_omits_the_repetition_of_a_short_recording(
    classifier: AudioClassifier, samples: int
) -> None:
    signal = busy(samples / 16_000, 16_000)[:, 0]
    overview, _ = analyzed(classifier, encode(signal, 16_000, subtype="FLOAT"), window_s=0.96, hop_s=0.96)
    edges_s, low, high = overview.envelope()
    assert edges_s[-1] == pytest.approx(samples / 16_000)
    assert (low.min(), high.max()) == (signal.min(), signal.max())
    assert len(overview.log_mels()[1]) == -(-samples // 160)
    assert overview.end_s == PATCH_S


@pytest.mark.parametrize(("start_s", "first_s"), [(0, 0), (3, 2.88), (19.9, 20 - 0.975)])
def test_audio_overview_of_a_clip_begins_where_the_clip_begins(
    classifier: AudioClassifier, start_s: float, first_s: float
) -> None:
    signal = busy(20, 16_000)[:, 0]
    overview = AudioOverview()
    source = encode(signal, 16_000, subtype="FLOAT")
    classification = classifier.classify(source, start_s=start_s, on_block=overview.add)
    assert overview.start_s == pytest.approx(first_s)
    assert overview.end_s - overview.start_s == pytest.approx(classification.analyzed_s)
    first, last = round(first_s * 16_000), round(overview.end_s * 16_000)
    _, low, high = overview.envelope()
    assert (low.min(), high.max()) == (signal[first:last].min(), signal[first:last].max())


def test_class_overview_has_the_probabilities_of_the_timeline(
    classifier: AudioClassifier, assets: Any
) -> None:
    names = ["Rain", "Thunder", "Thunderstorm"]
    overview = ClassOverview(Selection(classifier.labels, labels=names).classes)
    for window in windows_of(classifier, assets / "thunder.wav", window_s=2.88, hop_s=0.96):
        overview.add(window)
    windows = list(
        classifier.timeline(assets / "thunder.wav", window_s=2.88, hop_s=0.96, labels=names, top_k=None)
    )
    expected = {
        name: [p.probability for window in windows for p in window.predictions if p.label == name]
        for name in names
    }
    assert {track.label: track.probabilities.tolist() for track in overview.tracks(3)} == expected
    assert len(overview.edges_s()) == len(windows) + 1
    assert overview.edges_s()[[0, -1]].tolist() == [0, windows[-1].end_s]
    (best,) = overview.tracks(1)
    assert best.peak == max(max(probabilities) for probabilities in expected.values())


def test_tracks_are_ordered_by_onset() -> None:
    rows = [[0.1, 0.0, 0.4, 0.2], [0.4, 0.3, 0.5, 0.2], [0.9, 0.7, 0.1, 0.2]]
    overview = ClassOverview([Label(i, f"/m/{i}", name) for i, name in enumerate("abcd")])
    for i, row in enumerate(rows):
        overview.add(Window(i, i + 1, [], i, i + 1, np.array(row, np.float32)))
    assert [track.label for track in overview.tracks(3)] == ["c", "a", "b"]
    assert overview.edges_s().tolist() == [0, 1, 2, 3]


def test_track_of_zeros_has_its_onset_and_peak_at_zero() -> None:
    assert (Track("a", np.zeros(3, np.float32)).onset, Track("a", np.zeros(3, np.float32)).peak) == (0, 0)


def test_size_of_overviews_of_an_hour_is_bounded() -> None:
    audio, classes = AudioOverview(), ClassOverview([Label(i, f"/m/{i}", f"{i}") for i in range(527)])
    samples = busy(9.6, 16_000)[:, 0]
    log_mel = step_log_mel(np.append(samples, samples[:240]))
    probabilities = np.linspace(0, 1, 527, dtype=np.float32)
    for number in range(375):
        audio.add(Block(9.6 * number, samples, log_mel))
        for start_s in 9.6 * number + PATCH_S * np.arange(10):
            classes.add(Window(start_s, start_s + PATCH_S, [], start_s, start_s + PATCH_S, probabilities))
    assert audio.end_s == pytest.approx(3600)
    for columns in (audio.envelope()[1], audio.log_mels()[1], classes.edges_s()[:-1]):
        assert MAX_COLUMNS // 2 < len(columns) <= MAX_COLUMNS
    assert audio.envelope()[0][-1] == audio.log_mels()[0][-1] == pytest.approx(audio.end_s)
    assert classes.edges_s()[-1] == pytest.approx(audio.end_s)
    arrays = [
        value
        for overview in (audio, classes)
        for columns in vars(overview).values()
        if isinstance(columns, Columns)
        for value in vars(columns).values()
        if isinstance(value, np.ndarray)
    ]
    assert len(arrays) == 5
    assert sum(array.nbytes for array in arrays) < 4e6
