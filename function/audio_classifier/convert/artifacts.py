"""Find the three published artifacts, and verify their checksums."""

from __future__ import annotations

import logging
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from audio_classifier.convert.tar_files import ARCHIVE_ERRORS, open_tar
from audio_classifier.errors import (
    ArtifactNotFoundError,
    ArtifactUnverifiedError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.hub.remote import Progress, download, is_remote, open_remote
from audio_classifier.model.bundle import hash_file

CHECKPOINT: Final = "vggish_model.ckpt"
PCA: Final = "vggish_pca_params.npz"
CLASSIFIER: Final = "classifier_model.h5"

# IBM/MAX-Audio-Classifier, sha512sums.txt
PUBLISHED_SHA512: Final = {
    CHECKPOINT: "4e320f1b148f7ae8e08a8df17b102582e57fd8a9688ec17ce8f6077f062ce8fc"
    "aea711933c1b80192f3c2a9f7a09b40d6616e04b0f22a68d217ff1ec8ef0376f",
    PCA: "3728bcbc45cb05b4cff527434a069f990e110f1fc9687f74fce55dc204da6aa0"
    "f0f96cb4466a96fc056c32743c63830022c839072cc501a3f14bfb44928a701c",
    CLASSIFIER: "04d97505350d133a69eabbbc6908a497f9eef0505113a13590a85e9c25c462db"
    "9eebee506ce54dc11ed1761c734906a3989d431a7fda8660d7b461143d1b637f",
}

KNOWN_SOURCES: Final = (
    # IBM: all three
    "https://codait-cos-max.s3.us.cloud-object-storage.appdomain.cloud/max-audio-classifier/1.0.0/assets.tar.gz",
    # AI4OS's mirror of the three
    "https://api.cloud.ifca.es:8080/swift/v1/audio-classification-tf/default.tar.gz",
    # Google: VGGish's two
    f"https://storage.googleapis.com/audioset/{CHECKPOINT}",
    f"https://storage.googleapis.com/audioset/{PCA}",
)

TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_ARTIFACT_BYTES: Final = 1 << 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A published artifact as a local file.

    Attributes
    ----------
    path
        The local file.
    origin
        The source that contained it.
    sha512
        SHA-512 of the file.
    verified
        Whether this is the published checksum.
    """

    path: Path
    origin: str
    sha512: str
    verified: bool


def collect(
    sources: Sequence[str],
    workspace: Path,
    *,
    allow_unverified: bool = False,
    published: dict[str, str] = PUBLISHED_SHA512,
    progress: Progress | None = None,
) -> dict[str, Artifact]:
    """Find the three artifacts, each in the first source that has the published file.

    Parameters
    ----------
    sources
        The sources, in the order to try.  A source is a directory, a tar file, one of the files, or the
        ``https://`` or ``s3://`` URI of a tar file, of one of the files, or of a folder with the files.
    workspace
        An empty directory for downloaded and unpacked files.
    allow_unverified
        Also accept files whose SHA-512 differs from the published one.
    published
        The expected SHA-512 of each file.
    progress
        Called for every downloaded piece.

    Raises
    ------
    ArtifactUnverifiedError
        If a file was found, but with another SHA-512.
    ArtifactNotFoundError
        If no source has a file; the message states the reason for each source.
    """
    found: dict[str, Artifact] = {}
    unverified: dict[str, list[str]] = {name: [] for name in published}
    failures: list[str] = []
    for number, source in enumerate(sources):
        missing = [name for name in published if name not in found]
        if not missing:
            break
        _log.info("looking for %s in %s", ", ".join(missing), source)
        folder = workspace / str(number)
        folder.mkdir()
        offered = False
        try:
            for name, path in _offers(source, missing, folder, progress):
                offered = True
                sha512 = hash_file(path, "sha512")
                verified = sha512 == published[name]
                if name not in found and (verified or allow_unverified):
                    found[name] = Artifact(path, source, sha512, verified)
                elif not verified:
                    sums = f"{published[name][:16]}..., got {sha512[:16]}..."
                    unverified[name].append(f"{name} from {source}: expected SHA-512 {sums}")
            if not offered:
                failures.append(f"{source}: contains none of them")
        except (TransferError, ArtifactNotFoundError, *ARCHIVE_ERRORS) as error:
            reason = " ".join(str(error).split())
            failures.append(reason if source in reason else f"{source}: {reason}")
    missing = [name for name in published if name not in found]
    if not missing:
        return found
    if mismatches := [line for name in missing for line in unverified[name]]:
        raise ArtifactUnverifiedError(f"files differ from the published ones: {'; '.join(mismatches)}")
    raise ArtifactNotFoundError("; ".join([f"no source has {', '.join(missing)}", *failures]))


def _offers(
    source: str, wanted: list[str], folder: Path, progress: Progress | None
) -> Iterator[tuple[str, Path]]:
    """Yield those of the wanted files that a source has, each with its local path."""
    if is_remote(source):
        name = PurePosixPath(urlsplit(source).path).name
        if name.endswith(TAR_SUFFIXES):
            _download(source, "", folder / name, progress)
            yield from _unpack(folder / name, wanted, folder)
        elif name in PUBLISHED_SHA512:
            if name in wanted:
                _download(source, "", folder / name, progress)
                yield name, folder / name
        else:
            yield from _download_each(source, wanted, folder, progress)
        return
    path = Path(source)
    if path.is_dir():
        for name in wanted:
            yield from ((name, match) for match in sorted(path.rglob(name)) if match.is_file())
    elif path.name in PUBLISHED_SHA512:
        if path.name in wanted:
            yield path.name, path
    elif path.is_file():
        yield from _unpack(path, wanted, folder)
    else:
        raise ArtifactNotFoundError("no such file or directory")


def _download(uri: str, path: str, target: Path, progress: Progress | None) -> None:
    download(
        open_remote(uri), path, target, algorithm="sha512", max_bytes=MAX_ARTIFACT_BYTES, progress=progress
    )


def _download_each(
    uri: str, wanted: list[str], folder: Path, progress: Progress | None
) -> Iterator[tuple[str, Path]]:
    for name in wanted:
        try:
            _download(uri, name, folder / name, progress)
        except RemoteNotFoundError:
            continue
        yield name, folder / name


def _unpack(archive: Path, wanted: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Extract the wanted files of a tar file by their base names; paths in the archive are never used."""
    with open_tar(archive) as files:
        for number, (member, content) in enumerate(files):
            name = PurePosixPath(member.name).name
            if name not in wanted:
                continue
            if member.size > MAX_ARTIFACT_BYTES:
                raise tarfile.ReadError(
                    f"{name} must have at most {MAX_ARTIFACT_BYTES} bytes, got {member.size}"
                )
            target = folder / f"{number}-{name}"
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
            yield name, target
