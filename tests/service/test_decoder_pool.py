"""Worker processes decode exactly as this process does, and contain crashes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from audio_classifier.audio.channels import Channel
from audio_classifier.audio.reader import AudioReader
from audio_classifier.errors import (
    AudioError,
    BusyError,
    DamagedAudioError,
    DeadlineExceededError,
    DecoderCrashError,
    InvalidParameterError,
    StartBeyondEndError,
    TransferError,
    UnreadableAudioError,
)
from audio_classifier.inference.blocks import Block
from audio_classifier.inference.decoding import LocalDecoder
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.decoder_pool import HEAD_BYTES, DecoderPool
from audio_classifier.service.decoder_workers import WorkerProcesses
from devtools.ports import wait_until
from tests.support.media import FORMATS, encode_media
from tests.support.serving import serving
from tests.support.sounds import busy, damaged_flac, encode

LOCAL = LocalDecoder()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(max_idle=2)
    pool.start()
    yield pool
    pool.close()


def flac(seconds: float) -> bytes:
    return encode(busy(seconds, 44_100, channels=2), 44_100, "FLAC")


class FetchedFile(io.BytesIO):
    """A file that is read on demand, as an object in S3 is."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads: list[tuple[int, int | None]] = []
        self.expected: list[int] = []

    def expect(self, size: int) -> None:
        self.expected.append(size)

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads.append((self.tell(), size))
        return super().read(size)


def workers_of(pool: DecoderPool) -> set[int]:
    """Return the ids of a pool's worker processes."""
    parent = pool._workers._parent
    assert parent is not None
    return {*map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())}


@pytest.mark.parametrize("start_s", [0.0, 3.0])
def test_clip_equals_that_of_this_process(pool: DecoderPool, assets: Path, start_s: float) -> None:
    for source in (assets / "thunder.wav", (assets / "thunder.wav").read_bytes(), FetchedFile(flac(12))):
        expected, clip = (decoder.clip(source, start_s=start_s) for decoder in (LOCAL, pool))
        np.testing.assert_array_equal(clip.log_mel, expected.log_mel)
        assert clip.audio == expected.audio
        assert clip.seconds.keys() == expected.seconds.keys()


def test_observer_of_a_clip_receives_its_samples(pool: DecoderPool, assets: Path) -> None:
    blocks: dict[str, list[Block]] = {"local": [], "pool": []}
    LOCAL.clip(assets / "rain.wav", start_s=3, on_block=blocks["local"].append)
    pool.clip(assets / "rain.wav", start_s=3, on_block=blocks["pool"].append)
    (expected,), (block,) = blocks.values()
    assert block.start_s == expected.start_s
    np.testing.assert_array_equal(block.samples, expected.samples)


@pytest.mark.parametrize("source_type", [bytes, io.BytesIO, FetchedFile])
def test_blocks_equal_those_of_this_process(pool: DecoderPool, source_type: Any) -> None:
    content = flac(31)
    pairs = zip(LOCAL.blocks(content), pool.blocks(source_type(content)), strict=True)
    for expected, block in pairs:
        assert isinstance(block, Block)
        assert isinstance(expected, Block)
        assert block.start_s == expected.start_s
        np.testing.assert_array_equal(block.log_mel, expected.log_mel)
        np.testing.assert_array_equal(block.samples, expected.samples)


def test_warnings_equal_those_of_this_process(pool: DecoderPool) -> None:
    content = encode(np.hstack([busy(31, 16_000), -busy(31, 16_000)]), 16_000)
    expected = LOCAL.clip(content, start_s=0).warnings
    assert [warning.code for warning in expected] == ["channels_cancel"]
    assert pool.clip(content, start_s=0).warnings == expected
    assert list(pool.blocks(content))[-1:] == list(LOCAL.blocks(content))[-1:] == expected


@pytest.mark.parametrize("channel", [1, 2, "mix"])
def test_channel_is_that_of_this_process(pool: DecoderPool, channel: Channel) -> None:
    content = encode(busy(3, 16_000, channels=2), 16_000)
    expected, clip = (decoder.clip(content, start_s=0, channel=channel) for decoder in (LOCAL, pool))
    np.testing.assert_array_equal(clip.log_mel, expected.log_mel)


def test_file_longer_than_the_head_is_read_on_demand(pool: DecoderPool) -> None:
    content = encode(busy(60, 44_100, channels=2), 44_100)
    assert len(content) > 2 * HEAD_BYTES
    expected, clip = (decoder.clip(io.BytesIO(content), start_s=40) for decoder in (LOCAL, pool))
    np.testing.assert_array_equal(clip.log_mel, expected.log_mel)


def test_expectations_reach_a_fetched_file(pool: DecoderPool) -> None:
    file = FetchedFile(encode(busy(30, 16_000), 16_000))
    pool.clip(file, start_s=10)
    assert max(file.expected) >= 2 * 9.6 * 16_000
    assert len(file.reads) < 6


@pytest.mark.parametrize(
    ("content", "start_s", "error"),
    [
        (b"text", 0, UnreadableAudioError),
        (encode(busy(2, 16_000), 16_000), 5, StartBeyondEndError),
        (encode(busy(2, 16_000), 16_000), -1, InvalidParameterError),
    ],
)
def test_error_equals_that_of_this_process(
    pool: DecoderPool, content: bytes, start_s: float, error: type[Exception]
) -> None:
    caught = []
    for decoder in (LOCAL, pool):
        with pytest.raises(error) as raised:
            decoder.clip(content, start_s=start_s)
        caught.append(raised.value)
    assert type(caught[0]) is type(caught[1])
    assert str(caught[0]) == str(caught[1])
    assert vars(caught[0]) == vars(caught[1])


def test_error_in_a_stream_follows_the_blocks_before_it(pool: DecoderPool) -> None:
    blocks = pool.blocks(damaged_flac(60))
    assert isinstance(next(blocks), Block)
    with pytest.raises(DamagedAudioError):
        list(blocks)


def test_exception_of_the_file_is_raised_as_it_is(pool: DecoderPool) -> None:
    class BrokenFile(FetchedFile):
        def read(self, size: int | None = -1, /) -> bytes:
            raise TransferError("the object cannot be read")

    with pytest.raises(TransferError, match="the object cannot be read"):
        pool.clip(BrokenFile(flac(1)), start_s=0)
    assert pool.clip(flac(1), start_s=0).audio.format == "FLAC"


def test_worker_that_is_killed_is_an_error_of_its_recording(pool: DecoderPool) -> None:
    class KillingFile(FetchedFile):
        def read(self, size: int | None = -1, /) -> bytes:
            for pid in workers_of(pool):
                os.kill(pid, signal.SIGKILL)
            return super().read(size)

    with pytest.raises(DecoderCrashError, match="ended while it read the recording"):
        pool.clip(KillingFile(flac(1)), start_s=0)
    with pytest.raises(DecoderCrashError):
        list(pool.blocks(KillingFile(flac(1))))
    assert pool.clip(flac(1), start_s=0).audio.format == "FLAC"


def test_parent_that_was_killed_is_started_again() -> None:
    pool = DecoderPool(max_idle=0)
    pool.start()
    parent = pool._workers._parent
    assert parent is not None
    parent.kill()
    parent.wait()
    assert pool.clip(flac(1), start_s=0).audio.format == "FLAC"
    pool.close()


def test_stream_that_is_given_up_ends_its_worker(pool: DecoderPool) -> None:
    blocks = pool.blocks(flac(300))
    next(blocks)
    before = workers_of(pool)
    blocks.close()
    wait_until(lambda: workers_of(pool) != before, timeout_s=10)


def test_connection_is_closed_once() -> None:
    workers = WorkerProcesses(max_idle=1)
    with workers.worker() as worker:
        worker.is_idle = False
        descriptor = worker.connection.fileno()
        worker.connection.__del__()  # as the cyclic garbage collector may do before the block ends
        with open(os.devnull) as file:
            assert file.fileno() == descriptor
            worker.connection.close()
            os.fstat(descriptor)
    workers.close()


def test_threads_share_a_pool_and_only_idle_workers_are_kept(pool: DecoderPool) -> None:
    contents = [encode(busy(seconds, 16_000, seed=seconds), 16_000) for seconds in range(1, 9)]
    expected = [LOCAL.clip(content, start_s=0).log_mel for content in contents]
    with ThreadPoolExecutor(8) as threads:
        clips = list(threads.map(lambda content: pool.clip(content, start_s=0), contents * 4))
    for clip, patches in zip(clips, expected * 4, strict=True):
        np.testing.assert_array_equal(clip.log_mel, patches)
    wait_until(lambda: len(workers_of(pool)) <= 2, timeout_s=10)


def test_processes_end_with_the_program_that_uses_them() -> None:
    script = (
        "from audio_classifier.service.decoder_pool import DecoderPool\n"
        "pool = DecoderPool(1); pool.start(); print(pool._workers._parent.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{run.stdout.strip()}/cmdline").exists(), timeout_s=10)


def test_workers_see_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AUDIO_CLASSIFIER_BUNDLE", "compact")
    workers = WorkerProcesses(max_idle=1)
    with workers.worker():
        assert workers._parent is not None
        environ = Path(f"/proc/{workers._parent.pid}/environ")
        wait_until(
            lambda: bool(environ.read_bytes()), timeout_s=10
        )  # the kernel shows it when the program has started
        environment = environ.read_bytes()
    workers.close()
    assert b"PATH=" in environment
    assert b"AWS_" not in environment
    assert b"AUDIO_CLASSIFIER_" not in environment


BURN = """
import time
from audio_classifier.service import decoder_process
decoder_process.BASE_CPU_S = {base_s}
budget = decoder_process.CpuBudget()
end = time.process_time() + 0.3
while time.process_time() < end: pass
budget.check(audio_s={audio_s})
"""


@pytest.mark.parametrize(
    ("base_s", "audio_s", "allowed"), [(0.1, 0, False), (0.1, 100, True), (1.0, 0, True)]
)
def test_cpu_time_is_limited_by_the_length_of_the_audio(base_s: float, audio_s: float, allowed: bool) -> None:
    script = BURN.format(base_s=base_s, audio_s=audio_s)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode == 0) is allowed
    assert ("DecodingLimitError" in run.stderr) is not allowed


def test_memory_of_a_worker_is_limited(pool: DecoderPool) -> None:
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in workers_of(pool)]
    assert limits
    for text in limits:
        (line,) = (line for line in text.splitlines() if line.startswith("Max address space"))
        assert line.split()[3] == str(1 << 30)


def test_classifier_gives_the_same_results_with_a_pool(pool: DecoderPool, assets: Path) -> None:
    isolated, local = AudioClassifier.open(), AudioClassifier.open()
    isolated._decoder = pool
    assert isolated.predict(assets / "rain.wav") == local.predict(assets / "rain.wav")
    assert list(isolated.analyze(assets / "town.wav")) == list(local.analyze(assets / "town.wav"))


def test_crash_in_a_server_is_an_error_of_one_request(
    golden_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    crashing = [path.read_bytes() for path in sorted((golden_data / "inputs").glob("crash_seek_*.ogg"))]
    assert crashing
    good = encode(busy(2, 16_000), 16_000)
    with serving(isolate_decoding=True) as (url, _):
        statuses: list[int] = []

        def post(content: bytes) -> int:
            response = requests.post(f"{url}/model/predict", content, params={"start_time": 1}, timeout=30)
            assert response.json()["status"] == ("ok" if content is good else "error")
            return response.status_code

        threads = [threading.Thread(target=lambda: statuses.append(post(good))) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert [post(content) for content in crashing] == [400] * len(crashing)
        for thread in threads:
            thread.join()
        assert statuses == [200] * 8


@pytest.mark.parametrize("name", ["M4A", "MP4", "WMA", "AMR"])
def test_file_that_ffmpeg_decodes_equals_that_of_this_process(pool: DecoderPool, name: str) -> None:
    pytest.importorskip("av", reason="the extra formats is not installed")
    content = encode_media(busy(30, 16_000), 16_000, FORMATS[name])
    for source in (content, FetchedFile(content)):
        expected, clip = (decoder.clip(source, start_s=12) for decoder in (LOCAL, pool))
        np.testing.assert_array_equal(clip.log_mel, expected.log_mel)
        assert clip.audio == expected.audio
    expected_patches, patches = (
        [block.log_mel for block in decoder.blocks(content) if isinstance(block, Block)]
        for decoder in (LOCAL, pool)
    )
    np.testing.assert_array_equal(np.concatenate(patches), np.concatenate(expected_patches))


def test_m4a_upload_is_classified_by_a_server_that_isolates_decoding(assets: Path) -> None:
    import requests

    pytest.importorskip("av", reason="the extra formats is not installed")
    with AudioReader(assets / "siren.wav") as reader:
        content = encode_media(reader.read(0, 160_000), 16_000, FORMATS["M4A"])
    with serving(isolate_decoding=True) as (url, _):
        files = {"audio": ("siren.m4a", content, "audio/mp4")}
        answer = requests.post(f"{url}/model/predict", files=files, timeout=30).json()
    assert answer["status"] == "ok"
    assert answer["predictions"][0]["label"] in ("Alarm", "Siren")


def test_errors_of_the_audio_are_not_crashes(pool: DecoderPool) -> None:
    with pytest.raises(AudioError) as caught:
        pool.clip(b"", start_s=0)
    assert not isinstance(caught.value, DecoderCrashError)


def test_deadline_stops_a_decoder_that_is_busy(pool: DecoderPool) -> None:
    content = flac(300)
    cancellation = Cancellation(deadline_s=0.2)
    blocks = pool.blocks(cancellation.checked(io.BytesIO(content)))
    next(blocks)
    stopped = workers_of(pool)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)  # as if it were busy for ever
    with pytest.raises(DeadlineExceededError):
        list(blocks)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert pool.clip(flac(1), start_s=0).audio.format == "FLAC"


def test_upload_that_is_checked_is_sent_with_the_request(pool: DecoderPool) -> None:
    file = CountingFile(flac(5))
    clip = pool.clip(Cancellation().checked(file), start_s=0)
    np.testing.assert_array_equal(clip.log_mel, LOCAL.clip(flac(5), start_s=0).log_mel)
    assert file.reads == 1


class CountingFile(io.BytesIO):
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def test_closed_pool_starts_no_processes() -> None:
    pool = DecoderPool(max_idle=1)
    pool.start()
    pool.close()
    pool.close()
    pool.start()
    assert pool._workers._parent is None
    with pytest.raises(BusyError, match="the server is stopping"):
        pool.clip(flac(1), start_s=0)
