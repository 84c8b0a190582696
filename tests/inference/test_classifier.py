from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio_classifier import AudioClassifier, Hysteresis, Window
from audio_classifier.errors import (
    AudioError,
    DamagedAudioError,
    InvalidParameterError,
    StartBeyondEndError,
    UnknownLabelError,
)
from audio_classifier.model.bundle import Bundle
from tests.support.sounds import busy, encode


@pytest.fixture(scope="module")
def minute(assets: Path) -> bytes:
    """Our sounds, one after the other: 61.3 s."""
    import soundfile

    names = ("rain", "speech", "siren", "melody", "thunder", "dial-tone", "clock")
    sounds = [soundfile.read(assets / f"{name}.wav", dtype="float32") for name in names]
    return encode(
        np.concatenate([np.resize(sound, 16_000 * (9 if rate > 16_000 else 8)) for sound, rate in sounds]),
        16_000,
    )


def test_the_five_most_probable_come_first(classifier: AudioClassifier, assets: Path) -> None:
    predictions = classifier.predict(assets / "rain.wav")
    probabilities = classifier.probabilities(assets / "rain.wav")
    assert [p.probability for p in predictions] == sorted(map(float, probabilities), reverse=True)[:5]
    for prediction in predictions:
        label = classifier.labels.find(prediction.label)
        assert label.label_id == prediction.label_id
        assert prediction.probability == float(probabilities[label.index])


def test_the_filter_comes_before_the_best_are_taken(classifier: AudioClassifier, assets: Path) -> None:
    everything = classifier.predict(assets / "rain.wav", top_k=None)
    assert len(everything) == 527
    late = everything[300]
    found = classifier.predict(assets / "rain.wav", labels=[late.label.upper(), "/M/06MB1", late.label_id])
    assert [p.label for p in found] == ["Rain", late.label]
    assert classifier.predict(assets / "rain.wav", labels=[late.label, "Rain"], top_k=1)[0].label == "Rain"


def test_the_threshold_is_a_lower_bound(classifier: AudioClassifier, assets: Path) -> None:
    everything = classifier.predict(assets / "rain.wav", top_k=None)
    bound = everything[2].probability
    assert classifier.predict(assets / "rain.wav", threshold=bound) == everything[:3]
    assert classifier.predict(assets / "rain.wav", threshold=1.0) == []


def test_one_label_may_be_a_string(classifier: AudioClassifier, assets: Path) -> None:
    assert [p.label for p in classifier.predict(assets / "rain.wav", labels="rain")] == ["Rain"]


def test_no_labels_at_all_leave_nothing(classifier: AudioClassifier, assets: Path) -> None:
    assert classifier.predict(assets / "rain.wav", labels=[]) == []


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"top_k": 0}, "top_k"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"start_s": -1}, "start_s"),
        ({"labels": ["Dogg"]}, "label"),
    ],
)
def test_arguments_out_of_range_are_named(
    classifier: AudioClassifier, assets: Path, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        classifier.predict(assets / "rain.wav", **arguments)
    assert caught.value.parameter == parameter


def test_an_unknown_label_suggests_the_nearest(classifier: AudioClassifier, assets: Path) -> None:
    with pytest.raises(UnknownLabelError) as caught:
        classifier.predict(assets / "rain.wav", labels=["Thunderstrom"])
    assert "'Thunderstorm'" in caught.value.hint


def test_a_start_moves_the_window(classifier: AudioClassifier, minute: bytes) -> None:
    assert classifier.predict(minute, start_s=9 + 8)[0].label != classifier.predict(minute)[0].label
    with pytest.raises(StartBeyondEndError):
        classifier.predict(minute, start_s=60)


def test_silence_and_the_shortest_clip_are_classified(classifier: AudioClassifier) -> None:
    assert classifier.predict(encode(np.zeros(16_000), 16_000))[0].label == "Silence"
    assert len(classifier.predict(encode(busy(0.001, 16_000), 16_000))) == 5


def test_a_clip_and_its_repetition_are_alike(classifier: AudioClassifier, assets: Path) -> None:
    """Three patches stand for ten, as in the original: rows are repeated, not the waveform."""
    three = busy(3 * 0.96 + 0.02, 16_000)
    codes = classifier.codes(three[:, 0])
    assert codes.shape == (3, 128)
    tiled = np.concatenate([codes] * 4)[:10]
    expected = classifier._network.classify(tiled)
    np.testing.assert_allclose(
        classifier.probabilities(encode(three, 16_000, subtype="FLOAT")), expected, atol=1e-6
    )


def test_threads_may_share_one(classifier: AudioClassifier, assets: Path) -> None:
    sounds = sorted(assets.glob("*.wav"))
    expected = [classifier.probabilities(sound) for sound in sounds]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(classifier.probabilities, sounds * 4))
    for result, wanted in zip(results, expected * 4, strict=True):
        np.testing.assert_array_equal(result, wanted)


def by_start(windows: Iterator[Window]) -> dict[float, Window]:
    return {window.start_s: window for window in windows}


def test_a_timeline_says_what_predict_says_at_each_place(classifier: AudioClassifier, minute: bytes) -> None:
    windows = list(classifier.timeline(minute))
    assert [(window.start_s, window.end_s) for window in windows] == [
        (0.0, 9.6), (9.6, 19.2), (19.2, 28.8), (28.8, 38.4), (38.4, 48.0), (48.0, 57.6), (57.6, 59.52),
    ]  # fmt: skip
    for window in windows:
        expected = classifier.predict(minute, start_s=window.start_s + 0.01)
        assert [p.label for p in window.predictions] == [p.label for p in expected]
        for actual, wanted in zip(window.predictions, expected, strict=True):
            assert actual.probability == pytest.approx(wanted.probability, abs=1e-4)


@pytest.mark.parametrize(
    ("window_s", "hop_s", "count"),
    [(2.88, 0.96, 60), (9.6, 0.96, 53), (0.96, 0.96, 62), (1.92, 4.8, 13), (9.6, 28.8, 3)],
)
def test_windows_may_overlap_or_leave_gaps(
    classifier: AudioClassifier, minute: bytes, window_s: float, hop_s: float, count: int
) -> None:
    windows = list(classifier.timeline(minute, window_s=window_s, hop_s=hop_s, top_k=1))
    assert [window.start_s for window in windows] == pytest.approx([i * hop_s for i in range(count)])
    assert all(window.end_s - window.start_s == pytest.approx(window_s) for window in windows[:-1])
    assert windows[-1].end_s <= 59.52


def test_every_second_is_embedded_once(
    classifier: AudioClassifier, minute: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = []
    original = classifier._network.embedder.embed

    def counting(patches: NDArray[np.float32]) -> NDArray[np.float32]:
        embedded.append(len(patches))
        return original(patches)

    monkeypatch.setattr(classifier._network.embedder, "embed", counting)
    assert len(list(classifier.timeline(minute, hop_s=0.96))) == 53
    assert sum(embedded) == 62
    assert max(embedded) <= 10


def test_a_timeline_is_a_stream(classifier: AudioClassifier) -> None:
    content = encode(busy(60, 16_000), 16_000)
    file = io.BytesIO(content)
    next(classifier.timeline(file))
    assert file.tell() < len(content) / 2


def test_a_short_clip_has_a_timeline_of_one_window(classifier: AudioClassifier) -> None:
    (window,) = classifier.timeline(encode(busy(0.5, 16_000), 16_000))
    assert (window.start_s, window.end_s) == (0.0, 0.96)


@pytest.mark.parametrize(
    ("method", "arguments", "parameter"),
    [
        ("timeline", {"window_s": 0}, "window_s"),
        ("timeline", {"window_s": 19.2}, "window_s"),
        ("timeline", {"hop_s": -1}, "hop_s"),
        ("timeline", {"hop_s": float("inf")}, "hop_s"),
        ("timeline", {"hop_s": float("nan")}, "hop_s"),
        ("timeline", {"top_k": 0}, "top_k"),
        ("events", {"hop_s": 3.84}, "hop_s"),
        ("events", {"window_s": 10.6}, "window_s"),
        ("events", {"hop_s": 0}, "hop_s"),
    ],
)
def test_a_streams_arguments_are_checked_at_once(
    classifier: AudioClassifier, minute: bytes, method: str, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        getattr(classifier, method)(minute, **arguments)
    assert caught.value.parameter == parameter


def test_a_timeline_reports_damage_where_it_gets_there(classifier: AudioClassifier) -> None:
    content = encode(busy(60, 16_000), 16_000, "FLAC")
    windows = classifier.timeline(content[: len(content) // 2])
    assert next(windows).start_s == 0
    with pytest.raises(DamagedAudioError):
        list(windows)


def test_resampy_gives_nearly_the_same(assets: Path, classifier: AudioClassifier) -> None:
    reference = AudioClassifier.open(resampler="resampy")
    difference = reference.probabilities(assets / "thunder.wav") - classifier.probabilities(
        assets / "thunder.wav"
    )
    assert 0 < np.abs(difference).max() < 0.15  # they differ in the topmost band


def test_a_bundle_can_be_given_open(compact: Path, assets: Path, classifier: AudioClassifier) -> None:
    other = AudioClassifier(Bundle.open(compact), threads=1)
    np.testing.assert_allclose(
        other.probabilities(assets / "rain.wav"), classifier.probabilities(assets / "rain.wav"), atol=1e-5
    )


def test_errors_of_sounds_are_of_one_kind(classifier: AudioClassifier) -> None:
    for content in (b"", b"RIFF", b"text"):
        with pytest.raises(AudioError):
            classifier.predict(content)


def test_events_cover_what_is_heard(classifier: AudioClassifier, assets: Path) -> None:
    """Rain for 10 s, then silence for 20 s, then rain again."""
    rain, rate_hz = soundfile.read(assets / "rain.wav", dtype="float32")
    content = encode(np.concatenate([rain, np.zeros(20 * rate_hz, np.float32), rain]), rate_hz)
    first, second = (event for event in classifier.events(content, labels=["Rain"]) if event.peak > 0.5)
    # To two thirds of a window: so much of it may be silence.
    assert first.start_s == 0
    assert second.end_s == pytest.approx(39.8, abs=1)
    assert first.end_s == pytest.approx(10, abs=2)
    assert second.start_s == pytest.approx(30, abs=2)


def test_windows_that_do_not_overlap_are_events_themselves(
    classifier: AudioClassifier, minute: bytes
) -> None:
    windows = list(classifier.timeline(minute, top_k=None, labels=["Speech", "Music"]))
    hysteresis = Hysteresis(threshold=1e-9, release=1e-9)
    events = list(
        classifier.events(minute, window_s=9.6, hop_s=9.6, hysteresis=hysteresis, labels=["Speech", "Music"])
    )
    assert {(event.start_s, event.end_s) for event in events} == {(0.0, 59.52)}
    for event in events:
        said = [p.probability for window in windows for p in window.predictions if p.label == event.label]
        assert event.peak == pytest.approx(max(said))
        assert event.mean == pytest.approx(np.mean(said))
