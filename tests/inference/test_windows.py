from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier import AudioClassifier, Window
from audio_classifier.errors import DamagedAudioError, InvalidParameterError
from audio_classifier.inference.blocks import Block, BlockObserver
from tests.support.sounds import busy, damaged_flac, encode


def windows_of(
    classifier: AudioClassifier, source: Any, *, on_block: BlockObserver | None = None, **arguments: Any
) -> list[Window]:
    stream = classifier.analyze(source, hysteresis=None, on_block=on_block, **arguments)
    return [item for item in stream if isinstance(item, Window)]


def test_window_equals_the_prediction_from_its_start_on(classifier: AudioClassifier, minute: bytes) -> None:
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


def test_each_patch_is_embedded_once_when_windows_overlap(
    classifier: AudioClassifier, minute: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = []
    network: Any = classifier._network
    original = network.embedder.embed

    def embed_and_count(patches: NDArray[np.float32]) -> NDArray[np.float32]:
        embedded.append(len(patches))
        return np.asarray(original(patches))

    monkeypatch.setattr(network.embedder, "embed", embed_and_count)
    assert len(list(classifier.timeline(minute, hop_s=0.96))) == 53
    assert sum(embedded) == 62
    assert max(embedded) <= 10


def test_first_window_is_yielded_before_the_recording_is_read_to_its_end(classifier: AudioClassifier) -> None:
    content = encode(busy(60, 16_000), 16_000)
    file = io.BytesIO(content)
    next(classifier.timeline(file))
    assert file.tell() < len(content) / 2


def test_short_recording_has_one_window(classifier: AudioClassifier) -> None:
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
def test_arguments_are_checked_before_the_first_window(
    classifier: AudioClassifier, minute: bytes, method: str, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        getattr(classifier, method)(minute, **arguments)
    assert caught.value.parameter == parameter


def test_damage_is_raised_when_the_stream_reaches_it(classifier: AudioClassifier) -> None:
    windows = classifier.timeline(damaged_flac(60))
    assert next(windows).start_s == 0
    with pytest.raises(DamagedAudioError):
        list(windows)


def test_block_observer_does_not_change_the_windows(classifier: AudioClassifier, assets: Path) -> None:
    arguments: dict[str, Any] = {"window_s": 2.88, "hop_s": 0.96}
    blocks: list[Block] = []
    observed = windows_of(classifier, assets / "thunder.wav", on_block=blocks.append, **arguments)
    unobserved = windows_of(classifier, assets / "thunder.wav", **arguments)
    assert blocks
    for actual, expected in zip(observed, unobserved, strict=True):
        assert actual == expected
        assert (actual.core_start_s, actual.core_end_s) == (expected.core_start_s, expected.core_end_s)
        np.testing.assert_array_equal(actual.probabilities, expected.probabilities)


def test_length_of_blocks_does_not_grow_with_the_recording(classifier: AudioClassifier) -> None:
    lengths_s: list[float] = []
    windows_of(
        classifier,
        encode(busy(40, 16_000), 16_000),
        window_s=9.6,
        hop_s=9.6,
        on_block=lambda block: lengths_s.append(len(block.samples) / 16_000),
    )
    assert max(lengths_s) < 10
    assert len(lengths_s) == 5
