from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_classifier.batch import event_clips
from audio_classifier.batch.event_clips import KeptFile, SavedClip, save_event_clips
from audio_classifier.errors import InvalidParameterError, OutputError
from audio_classifier.inference.sound_events import SoundEvent
from tests.support.sounds import busy, encode

RATE_HZ = 22_050


def event(start_s: float, end_s: float, label: str = "Dog") -> SoundEvent:
    return SoundEvent("/m/x", label, start_s, end_s, 0.9, 0.8)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return (busy(30, RATE_HZ)[:, 0] * 2**15).astype(np.int16)


@pytest.fixture
def recording(samples: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "park.wav"
    path.write_bytes(encode(samples, RATE_HZ))
    return path


def saved(recording: Path, folder: Path, *events: SoundEvent, margin_s: float = 0.5) -> list[Path]:
    clips = save_event_clips(str(recording), recording.name, events, folder, margin_s=margin_s)
    return [clip.path.relative_to(folder) for clip in clips]


def test_clip_is_the_part_of_the_recording_with_its_margin(
    recording: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    paths = saved(recording, tmp_path / "clips", event(12.48, 25.92), event(3.36, 5.28, "Cat"))
    assert [*map(str, paths)] == [
        "Cat/park.wav-00m03.36s-00m05.28s.wav",
        "Dog/park.wav-00m12.48s-00m25.92s.wav",
    ]
    for path, start_s, end_s in zip(paths, (2.86, 11.98), (5.78, 26.42), strict=True):
        info = soundfile.info(tmp_path / "clips" / path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 1, "PCM_16")
        clip, _ = soundfile.read(tmp_path / "clips" / path, dtype="int16")
        np.testing.assert_array_equal(clip, samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)])


def test_margin_ends_with_the_recording(recording: Path, samples: np.ndarray, tmp_path: Path) -> None:
    (path,) = saved(recording, tmp_path / "clips", event(0.2, 29.9), margin_s=2)
    clip, _ = soundfile.read(tmp_path / "clips" / path, dtype="int16")
    np.testing.assert_array_equal(clip, samples)


def test_existing_files_are_kept_and_reported(recording: Path, tmp_path: Path) -> None:
    (first,) = saved(recording, tmp_path / "clips", event(1.92, 3.84))
    (tmp_path / "clips" / first).write_bytes(b"sorted by hand")
    events = [event(1.92, 3.84), event(9.6, 11.52)]
    outcomes = [*save_event_clips(str(recording), "park.wav", events, tmp_path / "clips")]
    assert [type(outcome) for outcome in outcomes] == [KeptFile, SavedClip]
    assert (tmp_path / "clips" / first).read_bytes() == b"sorted by hand"


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("Fire engine, fire truck (siren)", "Fire engine, fire truck (siren)"),
        ("../../etc", "_._.._etc"),
        ("..", "_"),
        (".hidden", "_hidden"),
        ("", "_"),
        ("a/b\\c:d\0e\n", "a_b_c_d_e_"),
        ("ends. ", "ends"),
        ("ö" * 200, "ö" * 50),
    ],
)
def test_classes_and_recordings_have_safe_names(
    recording: Path, tmp_path: Path, label: str, folder: str
) -> None:
    outcomes = save_event_clips(str(recording), "x/" + label, [event(0, 0.96, label)], tmp_path / "clips")
    (clip,) = outcomes
    assert clip.path.parent == tmp_path / "clips" / folder
    assert clip.path.is_file()
    assert clip.path.resolve().is_relative_to(tmp_path / "clips")


def test_standard_input_and_hours_are_named(samples: np.ndarray, tmp_path: Path) -> None:
    content = encode(np.zeros(3_700 * 4_000, np.int16), 4_000)
    (clip,) = save_event_clips(content, "-", [event(3_650.4, 3_652.8)], tmp_path)
    assert clip.path == tmp_path / "Dog" / "standard-input-60m50.40s-60m52.80s.wav"
    assert soundfile.info(clip.path).frames == round(3.4 * 4_000)


def test_long_event_is_cut_into_several_clips(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_clips, "MAX_CLIP_S", 10.0)
    paths = saved(recording, tmp_path / "clips", event(0.96, 28.8), margin_s=0)
    spans = [(0.96, 10.96), (10.96, 20.96), (20.96, 28.8)]
    assert [soundfile.info(tmp_path / "clips" / path).frames for path in paths] == [
        round(end_s * RATE_HZ) - round(start_s * RATE_HZ) for start_s, end_s in spans
    ]


def test_failed_write_is_an_error_that_names_the_file(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("in the way")
    with pytest.raises(OutputError, match=r"Dog/park\.wav-.* cannot be written: Not a directory"):
        saved(recording, tmp_path / "clips", event(0, 0.96))


@pytest.mark.parametrize("margin_s", [-1, float("nan"), float("inf")])
def test_margin_must_be_a_duration(recording: Path, tmp_path: Path, margin_s: float) -> None:
    with pytest.raises(InvalidParameterError, match="margin"):
        saved(recording, tmp_path / "clips", margin_s=margin_s)


def test_no_events_need_no_folder(recording: Path, tmp_path: Path) -> None:
    assert saved(recording, tmp_path / "clips") == []
    assert not (tmp_path / "clips").exists()
