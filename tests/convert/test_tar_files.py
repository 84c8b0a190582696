from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_classifier.convert import tar_files
from audio_classifier.convert.tar_files import ARCHIVE_ERRORS, open_tar


def read_all(path: Path) -> dict[str, bytes]:
    with open_tar(path) as files:
        return {member.name: content.read() for member, content in files}


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Write a tar file with members of given sizes."""

    def write(sizes: dict[str, int], mode: str = "w", **options: int) -> Path:
        path = tmp_path / "a.tar"
        with tarfile.open(path, mode, **options) as tar:  # type: ignore[call-overload]
            for name, size in sizes.items():
                header = tarfile.TarInfo(name)
                header.size = size
                tar.addfile(header, io.BytesIO(bytes(size)))
        return path

    return write


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_read_in_order(pack: Callable[..., Path], mode: str, tar_format: int) -> None:
    content = read_all(pack({"a": 0, "deep/er/b": 2000}, mode, format=tar_format))
    assert list(content.items()) == [("a", b""), ("deep/er/b", bytes(2000))]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_up_to_the_limit_of_a_header(
    pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tar_format: int
) -> None:
    path = pack({"n" * 3000: 1}, format=tar_format)
    assert read_all(path) == {"n" * 3000: b"\0"}
    monkeypatch.setattr(tar_files, "MAX_HEADER_BYTES", 2999)
    with pytest.raises(tarfile.TarError, match="a header must have at most 2999 bytes, got 30"):
        read_all(path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_archive_that_unpacks_to_more_than_the_limit_is_refused(
    pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    path = pack({"zeros": 30 << 20, "after": 1}, mode)
    monkeypatch.setattr(tar_files, "MAX_ARCHIVE_BYTES", 20 << 20)
    with (
        pytest.raises(tarfile.TarError, match="must unpack to at most 20971520 bytes"),
        open_tar(path) as files,
    ):
        for _ in files:  # without reading the files
            pass


def test_archive_with_too_many_members_is_refused(
    pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack({str(number): 0 for number in range(9)})
    monkeypatch.setattr(tar_files, "MAX_MEMBERS", 9)
    assert len(read_all(path)) == 9
    monkeypatch.setattr(tar_files, "MAX_MEMBERS", 8)
    with pytest.raises(tarfile.TarError, match="at most 8 members"):
        read_all(path)


def test_links_devices_and_folders_are_not_files(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            header = tarfile.TarInfo(f"member {kind!r}")
            header.type, header.linkname = kind, "/etc/passwd"
            tar.addfile(header)
    assert read_all(path) == {}


def test_damaged_archive_raises_an_error_of_archives(pack: Callable[..., Path]) -> None:
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        path = pack({"a": 30_000, "b" * 300: 70_000}, mode)
        content = path.read_bytes()
        for position in range(0, len(content), max(1, len(content) // 40)):
            for damaged in (content[:position], content[:position] + b"\xff" * 8 + content[position + 8 :]):
                path.write_bytes(damaged)
                try:
                    read_all(path)
                except ARCHIVE_ERRORS:
                    continue
