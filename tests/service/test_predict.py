from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audio_classifier.inference.classifier as classifier_module
from audio_classifier import AudioClassifier, SoundEvent, Window
from audio_classifier.constants import READER_VERSION
from audio_classifier.errors import DamagedAudioError, RecordingTooLongError, UnknownLabelError
from audio_classifier.service.parameters import parse_parameters
from audio_classifier.service.predict import collect_timeline, predict, timeline
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.service.deployment import shared_with
from tests.support.sounds import busy, encode


def test_response_has_the_predictions_of_the_classifier(
    shared_classifier: SharedClassifier, classifier: AudioClassifier, assets: Path
) -> None:
    parameters = parse_parameters({"start_time": 3, "filter": "Thunder,Rain,Dog", "top_k": 2})
    response = predict(shared_classifier, assets / "thunder.wav", parameters)
    expected = classifier.predict(
        assets / "thunder.wav", start_s=3, labels=["Thunder", "Rain", "Dog"], top_k=2
    )
    assert response.keys() == {"status", "predictions"}
    assert response["status"] == "ok"
    assert [p["label_id"] for p in response["predictions"]] == [p.label_id for p in expected]
    assert [p["probability"] for p in response["predictions"]] == pytest.approx(
        [p.probability for p in expected], abs=1e-4
    )


def test_response_of_a_timeline_has_windows_and_events(
    shared_classifier: SharedClassifier, assets: Path
) -> None:
    parameters = parse_parameters({"timeline": True, "window": 2.88, "hop": 0.96, "filter": "Thunder"})
    response = predict(shared_classifier, assets / "thunder.wav", parameters)
    items = list(timeline(shared_classifier, assets / "thunder.wav", parameters))
    of_the_clip = predict(shared_classifier, assets / "thunder.wav", parse_parameters({"filter": "Thunder"}))
    assert response == {
        **of_the_clip,
        "windows": [item.to_dict() for item in items if isinstance(item, Window)],
        "events": [item.to_dict() for item in items if isinstance(item, SoundEvent)],
    }
    assert response["windows"][0].keys() == {"start", "end", "predictions"}
    assert response["events"][0].keys() == {"label_id", "label", "start", "end", "peak", "mean"}


@pytest.mark.parametrize(
    ("streamer", "name"),
    [
        (classifier_module, "classify_windows"),
        (AudioClassifier, "analyze"),
        (SharedClassifier, "analyze"),
    ],
)
def test_timeline_that_is_closed_closes_the_streams_that_it_reads(
    shared_classifier: SharedClassifier, monkeypatch: pytest.MonkeyPatch, streamer: Any, name: str
) -> None:
    streams: list[Iterator[Any]] = []  # held here, so that only their reader closes them
    closed: list[Iterator[Any]] = []
    start = getattr(streamer, name)

    def held(*args: Any, **kwargs: Any) -> Iterator[Any]:
        def stream() -> Iterator[Any]:
            try:
                yield from items
            finally:
                closed.append(items)

        items = start(*args, **kwargs)
        streams.append(stream())
        return streams[0]

    monkeypatch.setattr(streamer, name, held)
    items = timeline(
        shared_classifier,
        encode(busy(60, 8_000), 8_000),
        parse_parameters({"timeline": True, "window": 1.92}),
    )
    next(items)
    assert (len(streams), len(closed)) == (1, 0)
    items.close()
    assert len(closed) == 1


@pytest.mark.parametrize("fields", [{}, {"timeline": True}])
def test_details_describe_model_and_recording_as_stored_results_do(
    shared_classifier: SharedClassifier, assets: Path, fields: dict[str, Any]
) -> None:
    plain = predict(shared_classifier, assets / "town.wav", parse_parameters(fields))
    response = predict(shared_classifier, assets / "town.wav", parse_parameters({**fields, "details": True}))
    bundle = shared_classifier.load().bundle
    assert response.pop("model") == {
        "bundle": "compact",
        "version": bundle.manifest.version,
        "digest": bundle.digest,
        "reader": READER_VERSION,
    }
    audio = response.pop("audio")
    assert audio.keys() == {"format", "subtype", "sample_rate_hz", "channels", "seconds"}
    assert response.pop("analyzed_seconds") == pytest.approx(audio["seconds"] if fields else 10, abs=1)
    assert response == plain


def test_timeline_has_overlapping_windows_by_default(
    shared_classifier: SharedClassifier, classifier: AudioClassifier
) -> None:
    content = encode(busy(12, 8_000), 8_000)
    items = timeline(shared_classifier, content, parse_parameters({"timeline": True}))
    windows = [item for item in items if isinstance(item, Window)]
    expected = list(classifier.timeline(content, window_s=2.88, hop_s=0.96))
    assert [(window.start_s, window.end_s) for window in windows] == [
        (window.start_s, window.end_s) for window in expected
    ]
    assert [[p.label for p in window.predictions] for window in windows] == [
        [p.label for p in window.predictions] for window in expected
    ]


def test_windows_before_the_limit_of_a_timeline_are_yielded() -> None:
    content = encode(busy(30, 8_000), 8_000)
    items = timeline(shared_with(max_timeline_s=20), content, parse_parameters({"timeline": True}))
    ends_s: list[float] = []
    with pytest.raises(RecordingTooLongError, match="longer than 20 s"):
        ends_s.extend(item.end_s for item in items if isinstance(item, Window))
    assert ends_s[-1] == 19.2


@pytest.mark.parametrize("timeline", [False, True])
def test_excluded_classes_and_groups_are_omitted(
    shared_classifier: SharedClassifier, assets: Path, timeline: bool
) -> None:
    fields: dict[str, Any] = {"top_k": 1000, "timeline": timeline}
    fields |= {"exclude": "Rain, Channel, environment and background,speech", "groups": True}
    response = predict(shared_classifier, assets / "thunder.wav", parse_parameters(fields))
    predictions = response["windows"][0]["predictions"] if timeline else response["predictions"]
    labels = {prediction["label"] for prediction in predictions}
    assert {"Thunder", "Dog"} <= labels
    assert labels.isdisjoint({"Rain", "Raindrop", "Echo", "Speech", "Narration, monologue"})


def test_filter_names_groups(shared_classifier: SharedClassifier, assets: Path) -> None:
    fields = {"filter": "Natural sounds", "exclude": "Thunder", "groups": True, "top_k": 1000}
    response = predict(shared_classifier, assets / "thunder.wav", parse_parameters(fields))
    labels = {prediction["label"] for prediction in response["predictions"]}
    assert {"Thunderstorm", "Rain", "Wind"} <= labels
    assert labels.isdisjoint({"Thunder", "Speech"})


def test_unknown_label_is_an_error(shared_classifier: SharedClassifier, assets: Path) -> None:
    for fields in (
        {"filter": "Thundr"},
        {"filter": "Thundr", "timeline": True},
        {"filter": "Human sounds"},
        {"exclude": "Thundr", "groups": True},
    ):
        with pytest.raises(UnknownLabelError):
            predict(shared_classifier, assets / "thunder.wav", parse_parameters(fields))


def test_collected_timeline_has_events_by_start_and_the_items_before_an_error() -> None:
    window = Window(0.0, 1.0, [], 0.0, 1.0, np.zeros(1, np.float32))
    late, early = (SoundEvent("/m/a", "Rain", start_s, 9.0, 0.5, 0.5) for start_s in (5.0, 2.0))

    def items() -> Iterator[Window | SoundEvent]:
        yield from (window, late, early)
        raise DamagedAudioError("damaged")

    response: dict[str, Any] = {"status": "ok"}
    with pytest.raises(DamagedAudioError):
        collect_timeline(items(), response)
    assert response == {
        "status": "ok",
        "windows": [{"start": 0.0, "end": 1.0, "predictions": []}],
        "events": [early.to_dict(), late.to_dict()],
    }
