from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.cli.errors import describe
from audio_classifier.convert.artifacts import (
    CHECKPOINT,
    CLASSIFIER,
    KNOWN_SOURCES,
    PCA,
    PUBLISHED_SHA512,
    collect,
)
from audio_classifier.errors import ArtifactNotFoundError, ArtifactUnverifiedError
from tests.support.servers import FileServer

CONTENT = {CHECKPOINT: b"checkpoint" * 1000, PCA: b"pca", CLASSIFIER: b"classifier" * 10}
PUBLISHED = {name: hashlib.sha512(data).hexdigest() for name, data in CONTENT.items()}


def write(folder: Path, **changes: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, data in CONTENT.items():
        (folder / name).write_bytes(changes.get(name.split(".")[0], data))
    return folder


def pack(folder: Path, archive: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, "deep/er/assets")
    return archive


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path / "good")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def check(found: Any, *, verified: bool = True) -> None:
    assert {name: artifact.path.read_bytes() for name, artifact in found.items()} == CONTENT
    assert {name: artifact.sha512 for name, artifact in found.items()} == PUBLISHED
    assert {artifact.verified for artifact in found.values()} == {verified}


def test_folder_is_searched_recursively(good: Path, workspace: Path) -> None:
    check(collect([str(good.parent)], workspace, published=PUBLISHED))
    assert list(workspace.glob("*/*")) == [], "local files are not copied"


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar.gz", "w:gz"), (".tar", "w"), (".tar.bz2", "w:bz2"), (".bin", "w:xz")]
)
def test_tar_file_is_unpacked(good: Path, workspace: Path, tmp_path: Path, suffix: str, mode: str) -> None:
    check(collect([str(pack(good, tmp_path / f"a{suffix}", mode))], workspace, published=PUBLISHED))


def test_sources_can_be_single_files(good: Path, workspace: Path) -> None:
    check(collect([str(good / name) for name in CONTENT], workspace, published=PUBLISHED))


def test_remote_sources_can_be_tar_files_folders_and_files(
    https_server: FileServer, good: Path, tmp_path: Path
) -> None:
    pack(good, https_server.folder / "assets.tar.gz")
    write(https_server.folder / "folder")
    progress: list[str] = []
    for number, sources in enumerate(
        (["assets.tar.gz"], ["folder/"], [f"folder/{name}" for name in CONTENT])
    ):
        workspace = tmp_path / f"workspace-{number}"
        workspace.mkdir()
        uris = [f"{https_server.url}/{source}" for source in sources]
        check(collect(uris, workspace, published=PUBLISHED, progress=lambda name, *_: progress.append(name)))
    assert {"assets.tar.gz", *CONTENT} == set(progress)


def test_sources_are_tried_in_order_until_each_file_is_found(
    https_server: FileServer, good: Path, tmp_path: Path, workspace: Path
) -> None:
    bad = write(tmp_path / "bad", vggish_model=b"other")
    sources = [
        f"{https_server.url}/gone.tar.gz",
        str(tmp_path / "nothing"),
        str(bad),
        str(good),
        "https://never.requested/",
    ]
    found = collect(sources, workspace, published=PUBLISHED)
    check(found)
    assert found[PCA].origin == str(bad)
    assert found[CHECKPOINT].origin == str(good)


def test_wrong_checksum_is_reported_with_file_source_and_checksums(tmp_path: Path, workspace: Path) -> None:
    bad = write(tmp_path / "bad", classifier_model=b"other")
    other = hashlib.sha512(b"other").hexdigest()
    with pytest.raises(
        ArtifactUnverifiedError,
        match=f"{CLASSIFIER} from {bad}: expected SHA-512 {PUBLISHED[CLASSIFIER][:16]}..., got {other[:16]}",
    ) as caught:
        collect([str(bad)], workspace, published=PUBLISHED)
    assert "--allow-unverified" in describe(caught.value)["hint"]


def test_unverified_weights_are_accepted_when_allowed(good: Path, workspace: Path) -> None:
    check(collect([str(good)], workspace, allow_unverified=True), verified=False)


def test_missing_file_is_reported_with_the_failure_of_each_source(
    https_server: FileServer, good: Path, workspace: Path, tmp_path: Path
) -> None:
    (good / PCA).unlink()
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"not a tar file")
    sources = [str(good), str(broken), f"{https_server.url}/gone.tar.gz", str(tmp_path / "nothing")]
    with pytest.raises(ArtifactNotFoundError) as caught:
        collect(sources, workspace, published=PUBLISHED)
    first, *failures = str(caught.value).split("; ")
    assert first == f"no source has {PCA}"
    assert [failure.split(":")[0].strip() for failure in failures[:2]] == [str(broken), "https"]
    assert len(failures) == 3
    assert "HTTP status 404" in failures[1]
    assert "--from" in describe(caught.value)["hint"]


def test_source_without_any_artifact_is_reported(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactNotFoundError, match="empty: contains none of them"):
        collect([str(tmp_path / "empty")], workspace, published=PUBLISHED)


def test_all_files_of_a_name_are_tried_until_one_is_verified(
    good: Path, workspace: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    write(both / "a", vggish_model=b"other")
    (both / "b").mkdir()
    (both / "b" / CHECKPOINT).write_bytes(CONTENT[CHECKPOINT])
    (both / "0" / PCA).mkdir(parents=True)  # a folder of that name
    check(collect([str(both)], workspace, published=PUBLISHED))
    (tmp_path / "again").mkdir()
    check(collect([str(pack(both, tmp_path / "both.tar"))], tmp_path / "again", published=PUBLISHED))


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar.gz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")]
)
def test_next_source_is_tried_when_archive_is_damaged(
    good: Path, workspace: Path, tmp_path: Path, suffix: str, mode: str
) -> None:
    (good / CHECKPOINT).write_bytes(np.random.default_rng(0).bytes(100_000))
    archive = pack(good, tmp_path / f"a{suffix}", mode)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    archive.write_bytes(data)
    (good / CHECKPOINT).write_bytes(CONTENT[CHECKPOINT])
    check(collect([str(archive), str(good)], workspace, published=PUBLISHED))


def test_truncated_archive_is_reported(good: Path, workspace: Path, tmp_path: Path) -> None:
    archive = pack(good, tmp_path / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(ArtifactNotFoundError, match=r"a\.tar\.gz"):
        collect([str(archive)], workspace, published=PUBLISHED)


def test_paths_in_an_archive_are_ignored(workspace: Path, tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        for name, data in CONTENT.items():
            source = tmp_path / "source"
            source.write_bytes(data)
            tar.add(source, f"../../{name}")
        link = tarfile.TarInfo(f"links/{PCA}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    check(collect([str(archive)], workspace, published=PUBLISHED))
    assert not (tmp_path / PCA).exists()


def test_known_sources_are_encrypted_and_checksums_equal_the_published_ones(golden_data: Path) -> None:
    assert all(source.startswith("https://") for source in KNOWN_SOURCES)
    lines = (golden_data / "parity" / "ibm-sha512sums.txt").read_text().splitlines()
    assert {line.split("/")[-1]: line.split()[0] for line in lines} == PUBLISHED_SHA512
