"""The parts of a trained model -> a bundle that says what it was made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audio_classifier.assets import audioset_labels_path
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.model.bundle import (
    EMBEDDING,
    HEAD,
    LABELS,
    POSTPROCESS,
    Bundle,
    Source,
    hash_file,
    write_bundle,
)
from training.data.clips import Clip
from training.teacher import yamnet as teacher

NAME: Final = "compact"
LICENCE: Final = "Apache-2.0; labels CC BY-SA 4.0"
DESCRIPTION: Final = (
    "A small model of our own: YAMNet in 8 bits with an attention head, made by training/ of its repository. "
    f"{len(teacher.UNKNOWN_CLASSES)} classes that its teacher does not know are never answered: "
    f"{'; '.join(teacher.UNKNOWN_CLASSES)}. The published model is better where it can be had."
)


def write(
    out_dir: Path,
    work: Path,
    clips: Sequence[Clip],
    *,
    teacher_path: Path,
    version: str,
    metrics: Mapping[str, Any],
) -> Bundle:
    """Write the bundle of what is in the work directory.

    Parameters
    ----------
    out_dir
        Must not exist.
    clips
        The pool's: each of their sources is named with its licences.
    metrics
        What was measured.
    """
    return write_bundle(
        out_dir,
        {name: work / name for name in (EMBEDDING, POSTPROCESS, HEAD)} | {LABELS: audioset_labels_path()},
        name=NAME,
        version=version,
        description=DESCRIPTION,
        licence=LICENCE,
        precision="int8",
        provenance=(_teacher(teacher_path), *_sounds(clips)),
        metrics=dict(metrics),
    )


def _teacher(path: Path) -> Source:
    return Source(
        name="YAMNet, whose weights these were before rounding, and on whose scores it was trained",
        origin=teacher.ORIGIN,
        sha512=hash_file(path, "sha512"),
        verified=True,
    )


def _sounds(clips: Sequence[Clip]) -> list[Source]:
    seconds: dict[str, float] = defaultdict(float)
    licences: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        seconds[clip.source] += clip.samples / SAMPLE_RATE_HZ
        licences[clip.source].add(clip.licence)
    return [
        Source(
            name=f"sounds of {source}, which are not included",
            origin=f"{seconds[source] / 60:.1f} minutes; {', '.join(sorted(licences[source]))}",
        )
        for source in sorted(seconds)
    ]
