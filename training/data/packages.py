"""Download and unpack the Debian packages of `sources.csv`, without installing them.

Each row of the table contains a package, the licence of its audio files, the maximum number of minutes to
take (0 if only synthesis uses the package), a regular expression of files to leave out, which may be empty,
and a description of the contents.
"""

from __future__ import annotations

import csv
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).with_name("sources.csv")

log = logging.getLogger(__name__)

# Downloads a package's .deb into a folder.
Download = Callable[[str, Path], None]


@dataclass(frozen=True)
class Package:
    """A row of `sources.csv`."""

    name: str
    licence: str
    max_minutes: float
    leave_out: str
    what: str


def read_sources(path: Path = SOURCES) -> list[Package]:
    """Read the table of packages."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Package(row["package"], row["licence"], float(row["max_minutes"]), row["leave_out"], row["what"])
            for row in csv.DictReader(file)
        ]


def apt_download(name: str, folder: Path) -> None:
    """Download a package's .deb with ``apt-get``, from the release that the system is configured for."""
    subprocess.run(["apt-get", "download", "--quiet", name], cwd=folder, check=True, capture_output=True)


def fetch(names: Iterable[str], folder: Path, download: Download = apt_download) -> list[str]:
    """Unpack packages into ``folder/<name>``, except those that are already there.

    Returns
    -------
    The names of the packages that could not be fetched, each of which is logged. Not every Debian release has
    all packages, and the pool does not need all of them.

    Raises
    ------
    FileNotFoundError
        If ``apt-get`` or ``dpkg-deb`` is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [name for name in names if not (folder / name).exists() and not _fetch(name, folder, download)]


def _fetch(name: str, folder: Path, download: Download) -> bool:
    partial = folder / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "files").mkdir(parents=True)
    try:
        download(name, partial)
        (deb,) = partial.glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", deb, partial / "files"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines()
        log.warning("%s could not be fetched: %s", name, reason[-1] if reason else error)
        shutil.rmtree(partial)
        return False
    (partial / "files").replace(folder / name)
    shutil.rmtree(partial)
    return True
