"""Debian packages, fetched and unpacked but never installed: what `sources.csv` lists.

Its rows: the package, the licence of what is taken from it, how many minutes at most, what files to leave out
(a regular expression, may be empty) and what it is good for.
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

# Puts a package's .deb into a folder.
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
    """Download a package's .deb by ``apt-get``, of whatever release its lists are."""
    subprocess.run(["apt-get", "download", "--quiet", name], cwd=folder, check=True, capture_output=True)


def fetch(names: Iterable[str], folder: Path, download: Download = apt_download) -> list[str]:
    """Unpack packages into ``folder/<name>``, except those that are there.

    Returns
    -------
    The names of those that could not be had; each was logged.  Releases differ in what they have, and the
    pool can do without some.

    Raises
    ------
    FileNotFoundError
        If this system has no ``apt-get`` or ``dpkg-deb``.
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
