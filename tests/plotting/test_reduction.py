"""What a picture shows of a recording, against a direct computation of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio_classifier import AudioClassifier, Selection
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.constants import PATCH_HOP_SAMPLES, PATCH_S
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label
from audio_classifier.plotting.reduction import MAX_COLUMNS, AudioOverview, ClassOverview, Columns, Track
from tests.support.sounds import busy, encode


def reduced(rows: NDArray[Any], step: int, function: Any) -> NDArray[Any]:
    """Columns by definition."""
    return np.array([function(rows[i : i + step], axis=0) for i in range(0, len(rows), step)])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3 * MAX_COLUMNS), min_size=1, max_size=5))
def test_columns_are_the_same_however_rows_come(sizes: list[int]) -> None:
    rows = np.random.default_rng(0).integers(-1000, 1000, (sum(sizes), 2))
    columns = {function: Columns(function) for function in (np.maximum, np.minimum, np.add)}
    for piece in np.split(rows, np.cumsum(sizes)[:-1]):
        for one in columns.values():
            one.add(piece)
    for function, by_definition in ((np.maximum, np.max), (np.minimum, np.min), (np.add, np.sum)):
        one = columns[function]
        assert len(one.columns) <= MAX_COLUMNS
        assert one.step == 1 or len(one.columns) > MAX_COLUMNS // 2
        assert one.counts.sum() == len(rows)
        if len(rows):
            np.testing.assert_array_equal(one.columns, reduced(rows, one.step, by_definition))


def windows_of(classifier: AudioClassifier, source: Any, **arguments: Any) -> list[Window]:
    stream = classifier.analyze(source, hysteresis=None, **arguments)
    return [item for item in stream if isinstance(item, Window)]


def analyzed(
    classifier: AudioClassifier, source: Any, **arguments: Any
) -> tuple[AudioOverview, list[Window]]:
    audio = AudioOverview()
    return audio, windows_of(classifier, source, on_block=audio.add, **arguments)


@pytest.mark.parametrize(("window_s", "hop_s"), [(2.88, 0.96), (0.96, 0.96), (9.6, 9.6), (1.92, 4.8)])
def test_sound_is_seen_once_from_end_to_end(
    classifier: AudioClassifier, window_s: float, hop_s: float
) -> None:
    signal = busy(25.5, 16_000)[:, 0]
    sound, heard = analyzed(
        classifier, encode(signal, 16_000, subtype="FLOAT"), window_s=window_s, hop_s=hop_s
    )
    patches = log_mel_patches(signal)
    assert sound.start_s == 0
    assert sound.end_s == pytest.approx(len(patches) * PATCH_S)
    assert heard[-1].end_s == pytest.approx(sound.end_s)

    shown = signal[: len(patches) * PATCH_HOP_SAMPLES]
    edges_s, low, high = sound.envelope()
    step = round((edges_s[1] - edges_s[0]) * 16_000)
    np.testing.assert_array_equal(low, reduced(shown, step, np.min))
    np.testing.assert_array_equal(high, reduced(shown, step, np.max))
    assert edges_s[-1] == pytest.approx(sound.end_s)

    edges_s, log_mels = sound.log_mels()
    frames = patches.reshape(-1, 64)
    step = round((edges_s[1] - edges_s[0]) * 100)
    np.testing.assert_allclose(log_mels, reduced(frames, step, np.mean), atol=1e-5)
    assert edges_s[-1] == pytest.approx(sound.end_s)


def test_who_watches_changes_nothing(classifier: AudioClassifier, assets: Any) -> None:
    arguments: dict[str, Any] = {"window_s": 2.88, "hop_s": 0.96}
    _, watched = analyzed(classifier, assets / "thunder.wav", **arguments)
    for one, other in zip(watched, windows_of(classifier, assets / "thunder.wav", **arguments), strict=True):
        assert one == other
        assert (one.core_start_s, one.core_end_s) == (other.core_start_s, other.core_end_s)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize("samples", [1, 5, 159, 161, 4_800])
def test_of_a_repeated_sound_only_the_sound_is_seen(classifier: AudioClassifier, samples: int) -> None:
    signal = busy(samples / 16_000, 16_000)[:, 0]
    sound, _ = analyzed(classifier, encode(signal, 16_000, subtype="FLOAT"), window_s=0.96, hop_s=0.96)
    edges_s, low, high = sound.envelope()
    assert edges_s[-1] == pytest.approx(samples / 16_000)
    assert (low.min(), high.max()) == (signal.min(), signal.max())
    assert len(sound.log_mels()[1]) == -(-samples // 160)
    assert sound.end_s == PATCH_S


@pytest.mark.parametrize(("start_s", "first_s"), [(0, 0), (3, 2.88), (19.9, 20 - 0.975)])
def test_ten_seconds_are_seen_from_where_they_begin(
    classifier: AudioClassifier, start_s: float, first_s: float
) -> None:
    signal = busy(20, 16_000)[:, 0]
    sound = AudioOverview()
    source = encode(signal, 16_000, subtype="FLOAT")
    result = classifier.classify(source, start_s=start_s, on_block=sound.add)
    assert sound.start_s == pytest.approx(first_s)
    assert sound.end_s - sound.start_s == pytest.approx(result.analyzed_s)
    first, last = round(first_s * 16_000), round(sound.end_s * 16_000)
    _, low, high = sound.envelope()
    assert (low.min(), high.max()) == (signal[first:last].min(), signal[first:last].max())


def test_classes_are_as_probable_as_the_timeline_says(classifier: AudioClassifier, assets: Any) -> None:
    names = ["Rain", "Thunder", "Thunderstorm"]
    classes = ClassOverview(Selection(classifier.labels, labels=names).classes)
    for window in windows_of(classifier, assets / "thunder.wav", window_s=2.88, hop_s=0.96):
        classes.add(window)
    windows = list(
        classifier.timeline(assets / "thunder.wav", window_s=2.88, hop_s=0.96, labels=names, top_k=None)
    )
    expected = {
        name: [p.probability for window in windows for p in window.predictions if p.label == name]
        for name in names
    }
    assert {track.label: track.probabilities.tolist() for track in classes.tracks(3)} == expected
    assert len(classes.edges_s()) == len(windows) + 1
    assert classes.edges_s()[[0, -1]].tolist() == [0, windows[-1].end_s]
    (best,) = classes.tracks(1)
    assert best.peak == max(max(values) for values in expected.values())


def test_tracks_stand_in_the_order_in_which_they_begin() -> None:
    rows = [[0.1, 0.0, 0.4, 0.2], [0.4, 0.3, 0.5, 0.2], [0.9, 0.7, 0.1, 0.2]]
    classes = ClassOverview([Label(i, f"/m/{i}", name) for i, name in enumerate("abcd")])
    for i, row in enumerate(rows):
        classes.add(Window(i, i + 1, [], i, i + 1, np.array(row, np.float32)))
    assert [track.label for track in classes.tracks(3)] == ["c", "a", "b"]
    assert classes.edges_s().tolist() == [0, 1, 2, 3]


def test_a_class_that_is_never_heard_begins_at_once() -> None:
    assert (Track("a", np.zeros(3, np.float32)).onset, Track("a", np.zeros(3, np.float32)).peak) == (0, 0)


def test_an_hour_takes_no_more_than_a_minute() -> None:
    sound, classes = AudioOverview(), ClassOverview([Label(i, f"/m/{i}", f"{i}") for i in range(527)])
    samples = busy(9.6, 16_000)[:, 0]
    patches = log_mel_patches(np.append(samples, samples[:240]))
    probabilities = np.linspace(0, 1, 527, dtype=np.float32)
    for tens in range(375):
        sound.add(Block(9.6 * tens, samples, patches))
        for start_s in 9.6 * tens + PATCH_S * np.arange(10):
            classes.add(Window(start_s, start_s + PATCH_S, [], start_s, start_s + PATCH_S, probabilities))
    assert sound.end_s == pytest.approx(3600)
    for columns in (sound.envelope()[1], sound.log_mels()[1], classes.edges_s()[:-1]):
        assert MAX_COLUMNS // 2 < len(columns) <= MAX_COLUMNS
    assert sound.envelope()[0][-1] == sound.log_mels()[0][-1] == pytest.approx(sound.end_s)
    assert classes.edges_s()[-1] == pytest.approx(sound.end_s)
    held = [
        value
        for overview in (sound, classes)
        for columns in vars(overview).values()
        if isinstance(columns, Columns)
        for value in vars(columns).values()
        if isinstance(value, np.ndarray)
    ]
    assert len(held) == 5
    assert sum(array.nbytes for array in held) < 4e6


def test_blocks_are_no_longer_in_a_longer_recording(classifier: AudioClassifier) -> None:
    lengths = [0.0]
    source = encode(busy(40, 16_000), 16_000)
    windows_of(
        classifier,
        source,
        window_s=9.6,
        hop_s=9.6,
        on_block=lambda block: lengths.append(len(block.samples) / 16_000),
    )
    assert max(lengths) < 10
    assert len(lengths) == 6
