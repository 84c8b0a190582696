"""`AudioClassifier`: clips, batches of clips, and the stream of windows and sound events."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier, Hysteresis, SoundEvent, Window
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    InvalidParameterError,
    StartBeyondEndError,
    UnknownLabelError,
)
from audio_classifier.inference.clip import Classification
from audio_classifier.model.bundle import Bundle
from tests.support.sounds import busy, encode

ROUNDING = 1e-5  # the order of summation depends on how many clips the network classifies at once


def test_predict_returns_the_five_most_probable_classes(classifier: AudioClassifier, assets: Path) -> None:
    predictions = classifier.predict(assets / "rain.wav")
    probabilities = classifier.probabilities(assets / "rain.wav")
    assert [p.probability for p in predictions] == sorted(map(float, probabilities), reverse=True)[:5]
    for prediction in predictions:
        label = classifier.labels.find(prediction.label)
        assert label.label_id == prediction.label_id
        assert prediction.probability == float(probabilities[label.index])


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
def test_predict_names_the_argument_that_is_out_of_range(
    classifier: AudioClassifier, assets: Path, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        classifier.predict(assets / "rain.wav", **arguments)
    assert caught.value.parameter == parameter


def test_predict_classifies_the_ten_seconds_from_the_start_on(
    classifier: AudioClassifier, minute: bytes
) -> None:
    assert classifier.predict(minute, start_s=9 + 8)[0].label != classifier.predict(minute)[0].label
    with pytest.raises(StartBeyondEndError):
        classifier.predict(minute, start_s=60)


def test_silence_and_the_shortest_recording_are_classified(classifier: AudioClassifier) -> None:
    assert classifier.predict(encode(np.zeros(16_000), 16_000))[0].label == "Silence"
    assert len(classifier.predict(encode(busy(0.001, 16_000), 16_000))) == 5


def test_short_recording_equals_its_repeated_codes(classifier: AudioClassifier) -> None:
    """Three patches represent ten, as in the original: codes are repeated, not the waveform."""
    three_patches = busy(3 * 0.96 + 0.02, 16_000)
    codes = classifier.codes(three_patches[:, 0])
    assert codes.shape == (3, 128)
    repeated = np.concatenate([codes] * 4)[:10]
    expected = classifier._network.classify_windows(repeated)
    np.testing.assert_allclose(
        classifier.probabilities(encode(three_patches, 16_000, subtype="FLOAT")), expected, atol=1e-6
    )


def test_threads_share_one_classifier(classifier: AudioClassifier, assets: Path) -> None:
    files = sorted(assets.glob("*.wav"))
    expected = [classifier.probabilities(file) for file in files]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(classifier.probabilities, files * 4))
    for result, wanted in zip(results, expected * 4, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_resampy_gives_similar_probabilities(assets: Path, classifier: AudioClassifier) -> None:
    reference = AudioClassifier.open(resampler="resampy")
    difference = reference.probabilities(assets / "thunder.wav") - classifier.probabilities(
        assets / "thunder.wav"
    )
    assert 0 < np.abs(difference).max() < 0.15  # the resamplers differ in the highest mel band


def test_classifier_accepts_an_open_bundle(compact: Path, assets: Path, classifier: AudioClassifier) -> None:
    other = AudioClassifier(Bundle.open(compact), threads=1)
    np.testing.assert_allclose(
        other.probabilities(assets / "rain.wav"), classifier.probabilities(assets / "rain.wav"), atol=1e-5
    )


@pytest.mark.parametrize("content", [b"", b"RIFF", b"text"])
def test_unusable_content_raises_audio_error(classifier: AudioClassifier, content: bytes) -> None:
    with pytest.raises(AudioError):
        classifier.predict(content)


def classify_or_return_error(
    classifier: AudioClassifier, file: Path
) -> Classification | AudioClassifierError | OSError:
    try:
        return classifier.classify(file, top_k=None)
    except (AudioClassifierError, OSError) as error:
        return error


def test_classify_many_equals_classify(classifier: AudioClassifier, assets: Path, tmp_path: Path) -> None:
    for number in range(7):
        content = encode(busy(1 + number, 16_000, seed=number), 16_000)
        (tmp_path / f"{number}.wav").write_bytes(content)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    files = [*sorted(assets.glob("*.wav")), *sorted(tmp_path.glob("*.wav")), tmp_path / "gone.wav"] * 3
    count = 0
    for file, outcome in zip(files, classifier.classify_many(iter(files), top_k=None), strict=True):
        count += 1
        expected = classify_or_return_error(classifier, file)
        if isinstance(expected, Classification):
            assert isinstance(outcome, Classification)
            assert {p.label_id: p.probability for p in outcome.predictions} == pytest.approx(
                {p.label_id: p.probability for p in expected.predictions}, abs=ROUNDING
            )
            assert (outcome.audio, outcome.analyzed_s) == (expected.audio, expected.analyzed_s)
        else:
            assert (type(outcome), str(outcome)) == (type(expected), str(expected))
    assert count == len(files)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"top_k": 0}, InvalidParameterError),
        ({"threshold": 2}, InvalidParameterError),
        ({"labels": ["Dogg"]}, UnknownLabelError),
    ],
)
def test_classify_many_checks_its_arguments_before_it_reads(
    classifier: AudioClassifier, arguments: dict[str, Any], error: type[InvalidParameterError]
) -> None:
    def sources() -> Any:
        raise AssertionError("a source was requested")
        yield

    with pytest.raises(error):
        classifier.classify_many(sources(), **arguments)


def test_analyze_yields_the_windows_of_timeline_and_the_events_of_events(
    classifier: AudioClassifier, minute: bytes
) -> None:
    arguments: dict[str, Any] = {"window_s": 2.88, "hop_s": 0.96, "labels": ["Speech", "Rain", "Siren"]}
    hysteresis = Hysteresis(threshold=0.4, release=0.1, min_duration_s=1)
    items = list(classifier.analyze(minute, hysteresis=hysteresis, top_k=2, **arguments))
    windows = [item for item in items if isinstance(item, Window)]
    events = [item for item in items if isinstance(item, SoundEvent)]
    assert windows == list(classifier.timeline(minute, top_k=2, **arguments))
    assert events == list(classifier.events(minute, hysteresis=hysteresis, **arguments))
    assert {event.label for event in events} == {"Speech", "Rain", "Siren"}


def test_analyze_yields_an_event_after_the_window_in_which_it_ends(
    classifier: AudioClassifier, minute: bytes
) -> None:
    core_end_s, ends_s = 0.0, []
    for item in classifier.analyze(minute):
        if isinstance(item, Window):
            core_start_s, core_end_s = item.core_start_s, item.core_end_s
        elif isinstance(item, SoundEvent):
            assert item.end_s in (core_start_s, core_end_s)
            ends_s.append(item.end_s)
    assert len(ends_s) > 1
    assert ends_s == sorted(ends_s)


def test_analyze_without_hysteresis_yields_windows_only_and_permits_gaps(
    classifier: AudioClassifier, minute: bytes
) -> None:
    items = list(classifier.analyze(minute, window_s=1.92, hop_s=4.8, hysteresis=None))
    assert items == list(classifier.timeline(minute, window_s=1.92, hop_s=4.8))
    assert all(isinstance(item, Window) for item in items)
    assert len(items) == 13


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"window_s": 1.92, "hop_s": 4.8}, "hop_s"),
        ({"window_s": 19.2}, "window_s"),
        ({"hysteresis": None, "hop_s": 0}, "hop_s"),
        ({"top_k": 0}, "top_k"),
        ({"labels": ["Dogg"]}, "label"),
    ],
)
def test_analyze_checks_its_arguments_before_it_reads(
    classifier: AudioClassifier, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        classifier.analyze(b"not audio", **arguments)
    assert caught.value.parameter == parameter


def test_events_without_hysteresis_use_the_default(classifier: AudioClassifier, assets: Path) -> None:
    expected = list(classifier.events(assets / "thunder.wav"))
    assert expected
    assert list(classifier.events(assets / "thunder.wav", hysteresis=None)) == expected


def test_window_and_event_are_json_by_to_dict(classifier: AudioClassifier, assets: Path) -> None:
    items = list(classifier.analyze(assets / "thunder.wav", labels=["Thunder"]))
    shown = [json.loads(json.dumps(item.to_dict())) for item in items]
    windows = [one for one in shown if "predictions" in one]
    events = [one for one in shown if "peak" in one]
    assert len(windows) + len(events) == len(items)
    assert windows[0]["predictions"][0]["label"] == events[0]["label"] == "Thunder"
    assert events[0]["end"] > events[0]["start"]


def test_former_names_warn_and_work(classifier: AudioClassifier, assets: Path) -> None:
    with pytest.warns(DeprecationWarning, match="reader_threads"):
        assert classifier.readers == classifier.reader_threads
    classification = classifier.classify(assets / "rain.wav")
    with pytest.warns(DeprecationWarning, match="analyzed_s"):
        assert classification.heard_s == classification.analyzed_s
    starts_s: list[float] = []
    with pytest.warns(DeprecationWarning, match="timeline"):
        stream = classifier.listen(
            assets / "rain.wav",
            window_s=2.88,
            hop_s=0.96,
            watch=lambda block: starts_s.append(block.start_s),
        )
    windows = list(stream)
    assert windows == list(classifier.timeline(assets / "rain.wav", window_s=2.88, hop_s=0.96))
    assert starts_s == [0.0]


def test_all_methods_exclude_classes_and_accept_groups(classifier: AudioClassifier, assets: Path) -> None:
    source = assets / "thunder.wav"
    selected: dict[str, Any] = {"labels": ["Natural sounds"], "exclude": ["Thunderstorm"], "groups": True}
    predictions = classifier.predict(source, top_k=None, **selected)
    labels = {prediction.label for prediction in predictions}
    assert {"Rain", "Wind"} <= labels
    assert labels.isdisjoint({"Thunderstorm", "Thunder", "Speech"})
    assert classifier.classify(source, top_k=None, **selected).predictions == predictions
    (classification,) = classifier.classify_many([source], top_k=None, **selected)
    assert isinstance(classification, Classification)
    assert {prediction.label for prediction in classification.predictions} == labels

    low = Hysteresis(0.01)
    items = list(classifier.analyze(source, hysteresis=low, top_k=None, **selected))
    windows = [item for item in items if isinstance(item, Window)]
    assert all({prediction.label for prediction in window.predictions} == labels for window in windows)
    events = [item for item in items if isinstance(item, SoundEvent)]
    assert {"Rain"} <= {event.label for event in events} <= labels
    assert list(classifier.events(source, hysteresis=low, **selected)) == events
    (window,) = classifier.timeline(source, top_k=None, **selected)
    assert {prediction.label for prediction in window.predictions} == labels
