from __future__ import annotations

import pytest

from audio_classifier.batch.clock_times import recorded_at


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("20240131_063000.WAV", "2024-01-31T06:30:14.400"),  # AudioMoth
        ("20240131_063000T.WAV", "2024-01-31T06:30:14.400"),  # AudioMoth, triggered
        ("5AFCD5F0.WAV", "2018-05-17T01:08:14.400Z"),  # AudioMoth's first firmware
        ("SMA01234_20240131_063000.wav", "2024-01-31T06:30:14.400"),  # Song Meter
        ("card/S4A_20240131_063000_sync.wav", "2024-01-31T06:30:14.400"),
        ("20240131T063000+1000_REC.flac", "2024-01-31T06:30:14.400+10:00"),  # Frontier Labs
        ("20240131T063000-0330_REC.flac", "2024-01-31T06:30:14.400-03:30"),
        ("2024-01-31-birdnet-06:30:00.wav", "2024-01-31T06:30:14.400"),  # BirdNET-Pi
        ("2024-01-31-birdnet-RTSP_1-06:30:00.wav", "2024-01-31T06:30:14.400"),
        ("2024-01-31T06-30-00Z.ogg", "2024-01-31T06:30:14.400Z"),
        ("2024-01-31 06.30.00.m4a", "2024-01-31T06:30:14.400"),
        ("s3://bucket/20231231_235950/20240131_063000.wav", "2024-01-31T06:30:14.400"),
        (r"card\\20240131_063000.wav", "2024-01-31T06:30:14.400"),
    ],
)
def test_name_of_a_recorder_states_the_time(name: str, time: str) -> None:
    start = recorded_at(name)
    assert start
    assert start.after(14.4) == time


@pytest.mark.parametrize(
    "name",
    [
        "town.wav",
        "-",
        "20240131.wav",  # a date, or a number
        "12345678.wav",
        "DEADBEEF.WAV",  # in 2088
        "20241331_063000.wav",
        "20240131_256000.wav",
        "20240131_0630001.wav",
        "20240131_063000_20240131_064000.wav",  # from one time to another
        "20240131_063000/a.wav",
    ],
)
def test_other_name_states_no_time(name: str) -> None:
    assert recorded_at(name) is None


def test_time_passes_midnight() -> None:
    start = recorded_at("20231231_235950.wav")
    assert start
    assert start.after(20.0004) == "2024-01-01T00:00:10.000"
