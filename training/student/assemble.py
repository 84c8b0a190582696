"""Assemble a bundle from the parts of a trained model, with its provenance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audio_classifier.assets import audioset_labels_path
from audio_classifier.constants import SAMPLE_RATE_HZ
from audio_classifier.model.bundle import Bundle, hash_file, write_bundle
from audio_classifier.model.manifest import EMBEDDING, HEAD, LABELS, POSTPROCESS, Source
from training.data.clips import Clip
from training.teacher import yamnet as teacher

NAME: Final = "compact"
LICENCE: Final = "Apache-2.0; labels CC BY-SA 4.0"
DESCRIPTION: Final = (
    "A small model: YAMNet in 8 bits with an attention head, trained by training/ in its repository. "
    "The published models of `audio-classifier bundle list` are more accurate where they are available."
)
NEVER_PREDICTED: Final = (
    f"{len(teacher.UNKNOWN_CLASSES)} classes are never predicted, because the teacher does not know them: "
    f"{'; '.join(teacher.UNKNOWN_CLASSES)}."
)


def write(
    out_dir: Path,
    work: Path,
    clips: Sequence[Clip],
    *,
    teacher_path: Path,
    clip_teacher_path: Path | None = None,
    version: str,
    metrics: Mapping[str, Any],
) -> Bundle:
    """Write the bundle of the model in the work directory.

    Parameters
    ----------
    out_dir
        Folder of the bundle, which must not exist.
    work
        Work directory with the exported network, the PCA and the head.
    clips
        The clips of the pool, whose sources and licences are listed as provenance.
    teacher_path
        ``yamnet.tflite``.
    clip_teacher_path
        The bundle of the clip teacher; None if there was none.
    version
        Version of the bundle.
    metrics
        Figures of the evaluation.
    """
    return write_bundle(
        out_dir,
        {name: work / name for name in (EMBEDDING, POSTPROCESS, HEAD)} | {LABELS: audioset_labels_path()},
        name=NAME,
        version=version,
        description=DESCRIPTION if clip_teacher_path else f"{DESCRIPTION} {NEVER_PREDICTED}",
        licence=LICENCE,
        precision="int8",
        provenance=(_teacher(teacher_path), *_clip_teacher(clip_teacher_path), *_audio(clips)),
        metrics=dict(metrics),
    )


def _teacher(path: Path) -> Source:
    return Source(
        name="YAMNet, whose weights the model was initialised with and on whose scores it was trained",
        origin=teacher.ORIGIN,
        sha512=hash_file(path, "sha512"),
        verified=True,
    )


def _clip_teacher(path: Path | None) -> list[Source]:
    if path is None:
        return []
    manifest = Bundle.open(path).manifest
    weights = manifest.provenance[0]
    name = f"{manifest.name} {manifest.version}, on whose scores the model was trained"
    origin = f"{weights.name}; {manifest.licence}"
    return [Source(name=name, origin=origin, sha512=weights.sha512, verified=weights.verified)]


def _audio(clips: Sequence[Clip]) -> list[Source]:
    seconds: dict[str, float] = defaultdict(float)
    licences: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        seconds[clip.source] += clip.samples / SAMPLE_RATE_HZ
        licences[clip.source].add(clip.licence)
    return [
        Source(
            name=f"audio from {source}, not included in the bundle",
            origin=f"{seconds[source] / 60:.1f} minutes; {', '.join(sorted(licences[source]))}",
        )
        for source in sorted(seconds)
    ]
