from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import anyio
import pytest

from audio_classifier.errors import BusyError, StorageFullError
from audio_classifier.server import spool as spool_module
from audio_classifier.server.spool import SPOOL_BYTES, Spool
from tests.server.client import PREDICT, check_error, post
from tests.server.raw_client import connect, header
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def run_async(function: Callable[[], Any]) -> None:
    """Run an async function in a thread, because Mangum leaves an event loop in the main thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, function).result()


def test_body_is_readable_from_its_beginning() -> None:
    async def main() -> None:
        spool = Spool(1, 2 * SPOOL_BYTES)
        for content in (b"short", bytes(SPOOL_BYTES) + b"long"):
            async with spool.body() as body:
                for begin in range(0, len(content), 1 << 20):
                    body.write(content[begin : begin + (1 << 20)])
                body.finish()
                assert body.in_memory == (len(content) < SPOOL_BYTES)
                assert body.file.read() == content

    run_async(main)


def test_bodies_go_to_files_when_the_memory_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_MEMORY_BYTES", 2500)

    async def main() -> None:
        spool = Spool(10, 100_000)
        async with AsyncExitStack() as resources:
            bodies = [await resources.enter_async_context(spool.body()) for _ in range(4)]
            for body in bodies:
                body.write(bytes(1000))
            assert [body.in_memory for body in bodies] == [True, True, False, False]
            bodies[0].write(bytes(1000))  # moves to a file, and makes room
            bodies[1].write(bytes(1000))
            assert [body.in_memory for body in bodies] == [False, True, False, False]
            for body in bodies:
                body.finish()
            assert [len(body.file.read()) for body in bodies] == [2000, 2000, 1000, 1000]
        async with spool.body() as body:
            body.write(bytes(2400))
            assert body.in_memory

    run_async(main)


def test_storage_is_free_again_after_a_body() -> None:
    async def main() -> None:
        spool = Spool(1, 2 * SPOOL_BYTES)
        for size in (1000, 2 * SPOOL_BYTES, 2 * SPOOL_BYTES):
            async with spool.body() as body:
                body.write(bytes(size))
                with pytest.raises(BusyError):
                    body.write(bytes(2 * SPOOL_BYTES + 1 - size))

    run_async(main)


def test_request_beyond_the_number_of_uploads_is_refused_with_503(rain: bytes) -> None:
    with serving(max_uploads_in_flight=2) as (url, _), ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(connect(url)).sendall(header(PREDICT, len(rain)) + rain[:1000])
        while (refused := post(url, rain)).status_code == 200:
            pass  # until the server has read the headers
        assert int(refused.headers["Retry-After"]) >= 1
        check_error(refused, 503, "too many request bodies")
        clients.close()
        while post(url, rain).status_code == 503:
            pass


def test_request_beyond_the_size_of_all_bodies_is_refused_with_503() -> None:
    content = encode(busy(10, 16_000), 16_000)
    with serving(max_spooled_bytes=400_000) as (url, _):
        with connect(url) as client:
            client.sendall(header(PREDICT, len(content)) + content[:200_000])
            while post(url, content).status_code == 200:
                pass  # until the server has read the first body
            check_error(post(url, content), 503, "400000 bytes together")
        while post(url, content).status_code == 503:
            pass


@pytest.mark.parametrize("path", ["body", "form"])
def test_full_disk_is_reported_with_503(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *_, **__: io.FileIO("/dev/full", "r+"))
    content = bytes(SPOOL_BYTES + (1 << 20))
    with serving() as (url, _):
        if path == "body":
            response = post(url, content)
        else:
            head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
            response = post(url, head + content + b"\r\n--b--\r\n", "multipart/form-data; boundary=b")
    check_error(response, 503, "no space")
    assert response.json()["code"] == "storage_full"
    assert int(response.headers["Retry-After"]) >= 1


def test_disk_that_is_full_when_buffered_data_are_written_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "MAX_MEMORY_BYTES", 0)
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda *_, **__: io.BufferedRandom(io.FileIO("/dev/full", "r+"))
    )

    async def main() -> None:
        async with Spool(1, 1000).body() as body:
            body.write(b"a little")
            with pytest.raises(StorageFullError):
                body.finish()

    run_async(main)


def test_missing_temporary_directory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_MEMORY_BYTES", 0)

    def no_directory(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")  # as tempfile does

    monkeypatch.setattr(tempfile, "TemporaryFile", no_directory)

    async def main() -> None:
        async with Spool(1, 1000).body() as body:
            with pytest.raises(StorageFullError):
                body.write(b"x")

    run_async(main)
