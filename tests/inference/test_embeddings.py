from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_classifier import AudioClassifier, Embeddings
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import DamagedAudioError, NoEmbeddingError
from tests.support.own_bundles import make_own_bundle
from tests.support.sounds import busy, damaged_flac, encode


def test_embeddings_are_the_codes_that_the_head_reads(classifier: AudioClassifier, assets: Path) -> None:
    embeddings = classifier.embed(assets / "town.wav")
    assert [str(array.dtype) for array in (embeddings.codes, embeddings.values)] == ["uint8", "float32"]
    np.testing.assert_array_equal(embeddings.values, (embeddings.codes.astype(float) - 128) / 128)
    np.testing.assert_allclose(embeddings.start_s, 0.96 * np.arange(18), atol=1e-9)
    first_clip = embeddings.codes[np.newaxis, :10]
    np.testing.assert_allclose(
        classifier._network.classify_windows(first_clip)[0],
        classifier.probabilities(assets / "town.wav"),
        atol=1e-5,
    )


def test_blocks_continue_each_other_and_warnings_come_last(classifier: AudioClassifier) -> None:
    content = encode(busy(30, 16_000), 16_000)
    truncated = content[: len(content) * 5 // 6]
    *blocks, warning = classifier.embed_blocks(truncated)
    assert isinstance(warning, AudioWarning)
    assert warning.code == "truncated"
    starts = [block.start_s for block in blocks if isinstance(block, Embeddings)]
    assert [len(start_s) for start_s in starts] == [10, 10, 6]
    whole = classifier.embed(truncated)
    np.testing.assert_array_equal(whole.start_s, np.concatenate(starts))
    assert whole.end_s == pytest.approx(24.96)


def test_short_recording_has_one_embedding(classifier: AudioClassifier) -> None:
    embeddings = classifier.embed(encode(busy(0.3, 16_000), 16_000))
    assert embeddings.codes.shape == (1, 128)
    assert embeddings.start_s.tolist() == [0]


def test_channel_is_selected(classifier: AudioClassifier) -> None:
    left, right = busy(2, 16_000, seed=1)[:, 0], 0.1 * busy(2, 16_000, seed=2)[:, 0]
    both = encode(np.stack([left, right], axis=1), 16_000)
    expected = classifier.embed(encode(right, 16_000)).codes
    np.testing.assert_array_equal(classifier.embed(both, channel=2).codes, expected)
    assert not np.array_equal(classifier.embed(both).codes, expected)


def test_damage_is_raised_when_the_stream_reaches_it(classifier: AudioClassifier) -> None:
    stream = classifier.embed_blocks(damaged_flac(60))
    assert isinstance(next(stream), Embeddings)
    with pytest.raises(DamagedAudioError):
        list(stream)


def test_model_that_reads_clips_has_no_embeddings(clip_bundle: Path, assets: Path) -> None:
    clips = AudioClassifier.open(clip_bundle)
    for compute in (clips.embed, clips.embed_blocks):
        with pytest.raises(NoEmbeddingError, match="mn01 has no embeddings") as caught:
            compute(assets / "rain.wav")
        assert "compact" in caught.value.hint
        assert "max" in caught.value.hint


def test_model_of_own_classes_has_the_embeddings_of_its_base(
    compact: Path, classifier: AudioClassifier, assets: Path, tmp_path: Path
) -> None:
    own = AudioClassifier.open(make_own_bundle(compact, tmp_path / "own"))
    expected = classifier.embed(assets / "rain.wav").codes
    np.testing.assert_array_equal(own.embed(assets / "rain.wav").codes, expected)
