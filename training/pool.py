"""Build the pool of clips from Debian packages, recordings and synthesis.

Each source is written as a part, and the parts are merged. A complete part or pool is never rebuilt, because
labels refer to clips by their index in the pool.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from training.data.clips import ClipPool, ClipWriter, merge
from training.data.gather import add_package, add_recordings
from training.data.packages import Package, fetch, read_sources
from training.synthesis import instruments, procedural, voices

# A quick run uses this share of each kind of synthetic clips, one recording in this many, and no packages.
QUICK_SHARE: Final = 0.02
QUICK_EVERY: Final = 50

SOUND_FONTS: Final = ("fluid-soundfont-gm", "timgm6mb-soundfont")
SONGS: Final = ("openttd-openmsx", "planetblupi-music-midi", "simutrans-data")

log = logging.getLogger(__name__)

# Adds clips to a part and returns the minutes added.
Stage = Callable[[ClipWriter], float]


def build(work: Path, recordings: Path | None = None, *, quick: bool = False) -> ClipPool:
    """Build the pool in ``work/clips``, or open it if it is complete.

    Parameters
    ----------
    work
        Work directory; packages are unpacked in ``work/packages``.
    recordings
        Folder of recordings to include; see `gather.add_recordings`.
    quick
        Use a few clips of each kind and download no packages.
    """
    folder = work / "clips"
    if not ClipPool.is_complete(folder):
        parts = []
        for name, stage in _stages(work, recordings, quick=quick):
            parts.append(folder / "parts" / name)
            if not ClipPool.is_complete(parts[-1]):
                with ClipWriter(parts[-1]) as writer:
                    minutes = stage(writer)
                log.info("%s: %d clips, %.1f minutes", name, len(writer.clips), minutes)
        merge(parts, folder)
    return ClipPool.open(folder)


def _stages(work: Path, recordings: Path | None, *, quick: bool) -> Iterator[tuple[str, Stage]]:
    if recordings is not None:
        yield "recordings", partial(add_recordings, folder=recordings, every=QUICK_EVERY if quick else 1)
    share = QUICK_SHARE if quick else 1.0
    yield "procedural", partial(procedural.add, share=share)
    if shutil.which("espeak-ng"):
        yield "voices", partial(voices.add, share=share)
    else:
        log.warning("the pool will have no synthetic voices, because espeak-ng is not installed")
    if not quick:
        yield from _from_packages(work / "packages")


def _from_packages(folder: Path) -> Iterator[tuple[str, Stage]]:
    table = {package.name: package for package in read_sources()}
    fetch(table, folder)
    for package in table.values():
        if package.max_minutes and (folder / package.name).exists():
            yield package.name, partial(add_package, package=package, folder=folder / package.name)
    for font in SOUND_FONTS:
        if (folder / font).exists():
            yield f"instruments-{font}", partial(_play, font=table[font], folder=folder)
    if (folder / SOUND_FONTS[0]).exists():
        songs = [table[name] for name in SONGS]
        yield "songs", partial(_play_songs, font=table[SOUND_FONTS[0]], songs=songs, folder=folder)


def _load(font: Package, folder: Path) -> instruments.Instruments:
    (path,) = (folder / font.name).rglob("*.sf2")
    return instruments.Instruments(path)


def _play(writer: ClipWriter, font: Package, folder: Path) -> float:
    """Add solos, drums and ensembles played on a sound font; return the minutes added."""
    played = _load(font, folder)
    return sum(
        instruments.add(writer, pieces, font.licence, font.name)
        for pieces in (instruments.solos(played), instruments.beats(played), instruments.ensembles(played))
    )


def _play_songs(writer: ClipWriter, font: Package, songs: list[Package], folder: Path) -> float:
    """Add the MIDI files of packages, played on a sound font; return the minutes added."""
    played, minutes = _load(font, folder), 0.0
    for package in songs:
        pieces = instruments.songs(played, sorted((folder / package.name).rglob("*.mid")))
        minutes += instruments.add(writer, pieces, f"{font.licence} and {package.licence}", package.name)
    return minutes
