from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_classifier.errors import AudioError, StartBeyondEndError
from audio_classifier.inference.decoding import LocalDecoder
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.linear_head import pooled
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.model.postprocess import dequantize
from audio_classifier.own_classes.examples import FailedSound, ReadSound, read_examples, windows_of
from audio_classifier.own_classes.near_duplicates import near_duplicates
from audio_classifier.own_classes.sounds import LabelledSpan, Sound
from tests.support.sounds import encode


@pytest.fixture(scope="module")
def network(compact: Path) -> PatchNetwork:
    return PatchNetwork(Bundle.open(compact), threads=1)


def span(label: str, start_s: float, end_s: float) -> LabelledSpan:
    return LabelledSpan(frozenset({label}), start_s, end_s)


def read(network: PatchNetwork, *sounds: Sound) -> list[ReadSound | FailedSound]:
    return [*read_examples(sounds, network, LocalDecoder(), threads=2)]


def test_features_are_those_of_the_clip_that_is_classified(network: PatchNetwork, assets: Path) -> None:
    path = str(assets / "rain.wav")
    (found,) = read(network, Sound(path, frozenset({"rain"})))
    assert isinstance(found, ReadSound)
    (example,) = found.examples
    clip = LocalDecoder().clip(path, start_s=0)
    expected = pooled(dequantize(network.encode(clip.log_mel)))
    np.testing.assert_allclose(example.features, expected, atol=0.02)
    assert (example.start_s, {*example.labels}, found.is_split) == (0, {"rain"}, False)


def test_bursts_in_a_long_recording_are_the_examples(network: PatchNetwork, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(16_000 * 40).astype(np.float32) * 1e-4
    for start_s in (5, 30):
        samples[start_s * 16_000 : (start_s + 2) * 16_000] *= 1000
    (tmp_path / "bursts.wav").write_bytes(encode(samples, 16_000))
    (found,) = read(network, Sound(str(tmp_path / "bursts.wav"), frozenset({"burst"})))
    assert isinstance(found, ReadSound)
    assert found.is_split
    assert [(one.start_s, one.end_s) for one in found.examples] == [(4.8, 7.68), (29.76, 32.64)]


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (Sound("a", frozenset({"x"})), [(0, 2), (20, 23)]),
        (Sound("a"), [(0, 8), (8, 16), (16, 25)]),
        (Sound("a", spans=(span("x", 10, 11), span("y", 10.1, 10.4))), [(10, 12), (10, 11)]),
        (Sound("a", spans=(span("x", 0, 24),)), [(0, 8), (8, 16), (16, 25)]),
    ],
)
def test_long_recordings_are_split_at_loud_or_labelled_regions(
    sound: Sound, expected: list[tuple[int, int]]
) -> None:
    levels_db = np.full(25, -60.0)
    levels_db[[0, 1, 20, 22]] = -10
    assert [(window.start, window.stop) for window in windows_of(sound, levels_db)] == expected


def test_label_after_the_end_of_the_recording_is_refused() -> None:
    with pytest.raises(StartBeyondEndError, match=r"begins at 9 s, but the recording ends at 4\.8 s"):
        windows_of(Sound("a", spans=(span("x", 9, 10),)), np.zeros(5))


def test_examples_have_the_labels_of_all_spans_that_they_overlap(network: PatchNetwork, assets: Path) -> None:
    spans = (span("rain", 0, 4), span("drop", 1, 1.5), span("car", 3.5, 6))
    (found,) = read(network, Sound(str(assets / "rain.wav"), spans=spans))
    assert isinstance(found, ReadSound)
    labels = {(one.start_s, one.end_s): sorted(one.labels) for one in found.examples}
    assert labels[0, 4.8] == ["car", "drop", "rain"]
    assert labels[0.96, 1.92] == ["drop", "rain"]


def test_unreadable_recordings_take_their_place(network: PatchNetwork, assets: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    paths = [tmp_path / "missing.wav", assets / "rain.wav", tmp_path / "broken.wav"]
    first, second, third = read(network, *(Sound(str(path), frozenset({"x"})) for path in paths))
    assert isinstance(first, FailedSound)
    assert isinstance(first.error, OSError)
    assert isinstance(second, ReadSound)
    assert isinstance(third, FailedSound)
    assert isinstance(third.error, AudioError)


@pytest.mark.parametrize("name", ["rain", "siren", "speech", "thunder"])
def test_copy_at_almost_the_same_volume_is_a_near_duplicate(
    network: PatchNetwork, assets: Path, tmp_path: Path, name: str
) -> None:
    samples, rate = soundfile.read(assets / f"{name}.wav")
    (tmp_path / "copy.flac").write_bytes(encode(samples * 0.98, rate, "FLAC"))
    paths = [assets / f"{name}.wav", tmp_path / "copy.flac", assets / "melody.wav"]
    found = read(network, *(Sound(str(path)) for path in paths))
    embeddings = [one.examples[0].embedding for one in found if isinstance(one, ReadSound)]
    assert near_duplicates(np.stack(embeddings), np.arange(3)).tolist() == [[0, 1]]
