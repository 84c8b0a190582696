"""Networks that read clips instead of patches, through the library, the command line, HTTP and S3."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from audio_classifier import AudioClassifier, SoundEvent, Window
from audio_classifier.audio.log_mel import log_mel_frames
from audio_classifier.cli.parser import main
from audio_classifier.errors import InvalidParameterError, NoEmbeddingError
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.decoding import LocalDecoder
from audio_classifier.service.decoder_pool import DecoderPool
from tests.support.clip_bundles import EFFICIENTAT
from tests.support.serving import serving
from tests.support.sounds import busy, encode

RATE_HZ = 32_000


@pytest.fixture(scope="module")
def clips(clip_bundle: Path) -> AudioClassifier:
    return AudioClassifier.open(clip_bundle)


def wav(duration_s: float, rate_hz: int = RATE_HZ) -> bytes:
    return encode(busy(duration_s, rate_hz), rate_hz, subtype="FLOAT")


def expected(clips: AudioClassifier, duration_s: float) -> Any:
    log_mel = log_mel_frames(busy(duration_s, RATE_HZ)[:, 0], EFFICIENTAT)
    return clips._network.classify_clips([log_mel])[0][0]


@pytest.mark.parametrize("duration_s", [10.0, 5.0, 1.7])
def test_clip_is_classified_as_it_is(clips: AudioClassifier, duration_s: float) -> None:
    np.testing.assert_allclose(clips.probabilities(wav(duration_s)), expected(clips, duration_s), atol=1e-5)
    assert clips.classify(wav(duration_s)).analyzed_s == pytest.approx(duration_s, abs=0.02)


def test_longer_recording_is_clipped_to_ten_seconds(clips: AudioClassifier) -> None:
    classification = clips.classify(wav(30))
    assert classification.analyzed_s == 10
    assert set(classification.seconds) == {"read", "features", "network"}
    np.testing.assert_allclose(clips.probabilities(wav(30)), expected(clips, 10), atol=1e-5)


def test_recording_shorter_than_a_step_is_repeated(clips: AudioClassifier) -> None:
    assert len(clips.predict(wav(0.2))) == 5
    assert len(clips.predict(wav(0.001))) == 5


def test_start_is_a_multiple_of_steps(clips: AudioClassifier) -> None:
    signal = busy(30, RATE_HZ)
    start = 4 * 30_720
    log_mel = log_mel_frames(signal[start : start + 320_000, 0], EFFICIENTAT)
    wanted, _ = clips._network.classify_clips([log_mel])
    content = encode(signal, RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(clips.probabilities(content, start_s=4.5), wanted[0], atol=1e-5)


def test_clips_of_different_lengths_are_classified_together(clips: AudioClassifier) -> None:
    recordings = [wav(duration_s) for duration_s in (10, 3, 10, 0.5, 3)]
    for recording, result in zip(recordings, clips.classify_many(recordings, top_k=None), strict=True):
        assert not isinstance(result, Exception)
        single = clips.predict(recording, top_k=None)
        assert [each.label for each in result.predictions[:3]] == [each.label for each in single[:3]]
        np.testing.assert_allclose(
            [each.probability for each in result.predictions],
            [each.probability for each in single],
            atol=1e-5,
        )


@pytest.mark.parametrize(("window_s", "hop_s"), [(2.88, 0.96), (9.6, 9.6), (9.6, 0.96), (2.88, 5.76)])
def test_windows_are_cut_from_the_frames_of_the_recording(
    clips: AudioClassifier, window_s: float, hop_s: float
) -> None:
    log_mel = log_mel_frames(busy(25, RATE_HZ)[:, 0], EFFICIENTAT)
    windows = list(clips.timeline(wav(25), window_s=window_s, hop_s=hop_s))
    assert windows[-1].end_s == pytest.approx(24.96)
    for window in windows:
        frames = log_mel[round(window.start_s * 100) : round(window.end_s * 100)]
        wanted, _ = clips._network.classify_clips([frames])
        np.testing.assert_allclose(window.probabilities, wanted[0], atol=1e-5)


def test_window_shorter_than_two_seconds_is_refused(clips: AudioClassifier) -> None:
    with pytest.raises(InvalidParameterError, match=r"window_s: must be at least 2\.88 s with this model"):
        clips.timeline(wav(5), window_s=0.96, hop_s=0.96)


def test_short_recording_has_one_window(clips: AudioClassifier) -> None:
    (window,) = clips.timeline(wav(0.5), window_s=2.88, hop_s=0.96)
    assert (window.start_s, window.end_s) == (0, 0.96)


def test_sound_events_and_windows_come_in_one_stream(clips: AudioClassifier) -> None:
    items = list(clips.analyze(wav(20), labels=["Speech", "Music"]))
    assert {type(item) for item in items} <= {Window, SoundEvent}


def test_memory_of_a_timeline_does_not_grow_with_the_recording(clips: AudioClassifier) -> None:
    peaks = []
    for minutes in (1, 4):
        content = encode(np.tile(busy(1, 8_000), (60 * minutes, 1)), 8_000)
        tracemalloc.start()
        for _ in clips.timeline(memoryview(content), window_s=2.88, hop_s=0.96):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1] - len(content))
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2e6


def test_workers_decode_for_the_network(clips: AudioClassifier) -> None:
    pool, content = DecoderPool(max_idle=1), wav(12, 44_100)
    local = LocalDecoder()
    arguments: dict[str, Any] = {"front_end": EFFICIENTAT, "start_s": 1}
    np.testing.assert_array_equal(
        pool.clip(content, **arguments).log_mel, local.clip(content, **arguments).log_mel
    )
    pairs = zip(
        pool.blocks(content, front_end=EFFICIENTAT), local.blocks(content, front_end=EFFICIENTAT), strict=True
    )
    for block, wanted in pairs:
        assert isinstance(block, Block)
        assert isinstance(wanted, Block)
        np.testing.assert_array_equal(block.log_mel, wanted.log_mel)
        np.testing.assert_array_equal(block.samples, wanted.samples)
    pool.close()


def test_codes_exist_only_in_networks_that_read_patches(clips: AudioClassifier) -> None:
    with pytest.raises(NoEmbeddingError, match="mn01 has no embeddings"):
        clips.codes(busy(3, 16_000)[:, 0])


def test_command_line_classifies_and_draws(
    clip_bundle: Path, assets: Path, tmp_path: Path, capsys: Any
) -> None:
    bundle = ("--bundle", str(clip_bundle))
    assert main(["classify", str(assets / "rain.wav"), "--format", "json", *bundle]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 5
    assert main(["timeline", str(assets / "town.wav"), "--format", "json", *bundle]) == 0
    for command in (["plot", "-o"], ["classify", "--plot"]):
        picture = tmp_path / f"{command[0]}.svg"
        assert main([command[0], str(assets / "town.wav"), command[1], str(picture), *bundle]) == 0
        assert "kHz" in picture.read_text()


def test_server_answers_with_both_kinds_of_requests(clip_bundle: Path) -> None:
    with serving(bundle=str(clip_bundle)) as (url, _):

        def post(**query: Any) -> requests.Response:
            return requests.post(f"{url}/model/predict", params=query, files={"audio": wav(12)}, timeout=60)

        assert len(post().json()["predictions"]) == 5
        assert len(post(timeline=True, window=9.6, hop=9.6).json()["windows"]) == 2
        refused = post(timeline=True, window=0.96)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
        assert "window" in refused.json()["message"]
