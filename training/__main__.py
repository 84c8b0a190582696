"""The built-in bundle from nothing: ``python -m training``.

It may be stopped at any time; started again, it goes on with the stage that it was in.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from audio_classifier import AudioClassifier
from audio_classifier.constants import CLIP_PATCHES, MEL_BANDS, PATCH_FRAMES
from audio_classifier.model.bundle import EMBEDDING, HEAD, POSTPROCESS, Bundle
from audio_classifier.model.embedding import Embedder
from training import pool
from training.data.clips import ClipPool
from training.evaluation import evaluate, report
from training.logs import log_progress, show_log
from training.student import assemble, train_embedding, train_head
from training.student.export import export_embedding
from training.student.head import dense
from training.teacher.label import NATURAL, SHARDS, label_natural
from training.teacher.labelling import labelling
from training.teacher.yamnet import Teacher, read_layers

_log = logging.getLogger("training")

BUNDLE: Final = "bundle"
MOST_PATCHES: Final = 2_000_000
QUICK_MINUTES: Final = 0.5
QUICK_PATCHES: Final = 6000
REPORT: Final = "EVALUATION.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a bundle, or go on where the last run was stopped."""
    options = build_parser().parse_args(arguments)
    show_log()
    work: Path = options.work
    minutes = QUICK_MINUTES if options.quick else options.minutes
    head_minutes = QUICK_MINUTES if options.quick else options.head_minutes

    _log.info("1 of 6: the pool of clips")
    clips = pool.build(work, options.recordings, quick=options.quick)
    _log.info("2 of 6: the teacher's opinion of %d clips", len(clips))
    label_natural(clips, Teacher(options.teacher), work / SHARDS / NATURAL, log_progress())
    _log.info("3 of 6: the embedding network, %g min", minutes)
    with labelling(work, options.teacher, minutes, QUICK_PATCHES if options.quick else MOST_PATCHES):
        agreed = train_embedding.train(
            work,
            clips.clips,
            read_layers(options.teacher),
            minutes=minutes,
        )
    _log.info("validation, patches: %s", agreed)
    _log.info("4 of 6: its export")
    export(work)
    _log.info("5 of 6: PCA and head, %g min", head_minutes)
    train_the_head(work, clips, head_minutes)
    _log.info("6 of 6: evaluation, and the bundle")
    finish(work, clips, options)


def build_parser() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(prog="python -m training", description=main.__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/training"), help="(default: %(default)s)")
    parser.add_argument("--teacher", type=Path, required=True, help="yamnet.tflite")
    parser.add_argument("--recordings", type=Path, help="a folder of sound files to learn from, too")
    parser.add_argument("--minutes", type=float, default=120, help="for the embedding (default: %(default)s)")
    parser.add_argument("--head-minutes", type=float, default=10, help="for the head (default: %(default)s)")
    parser.add_argument("--version", default="0.3.0", help="of the bundle (default: %(default)s)")
    parser.add_argument(
        "--earlier", default="compact", help="the bundle to compare with (default: %(default)s)"
    )
    parser.add_argument("--samples", type=Path, help="a folder of WAV files to be shown one by one")
    parser.add_argument("--quick", action="store_true", help="a few clips, a few minutes")
    return parser


def export(work: Path) -> None:
    """The checkpoint as ``embedding.tflite``, unless it is that already."""
    checkpoint, target = work / train_embedding.CHECKPOINT, work / EMBEDDING
    if _is_newer(target, checkpoint):
        return
    partial = target.with_suffix(".partial")
    partial.write_bytes(export_embedding(train_embedding.load_student(checkpoint)))
    partial.replace(target)


def train_the_head(work: Path, clips: ClipPool, minutes: float) -> None:
    """PCA and head for the exported network, unless they are its already."""
    model = work / EMBEDDING
    if all(_is_newer(work / name, model) for name in (POSTPROCESS, HEAD)):
        return
    classes = dense(train_embedding.load_student(work / train_embedding.CHECKPOINT).classes)
    postprocessor, head, agreed = train_head.train(work, clips.clips, model, classes, minutes=minutes)
    train_head.save(work, postprocessor, head)
    _log.info("validation, sounds: %s", agreed)


def finish(work: Path, clips: ClipPool, options: argparse.Namespace) -> None:
    """Judge what was trained, and write it as a bundle, with the report beside it."""
    with tempfile.TemporaryDirectory() as folder:
        assemble.write(
            Path(folder, BUNDLE), work, clips.clips, teacher_path=options.teacher,
            version=options.version, metrics={},
        )  # fmt: skip
        text, measured = evaluate_bundle(Path(folder, BUNDLE), clips, options)
    shutil.rmtree(work / BUNDLE, ignore_errors=True)
    bundle = assemble.write(
        work / BUNDLE, work, clips.clips, teacher_path=options.teacher,
        version=options.version, metrics=measured,
    )  # fmt: skip
    (work / REPORT).write_text(text, encoding="utf-8")
    _log.info("%s: %s", bundle.directory, measured)


def evaluate_bundle(
    directory: Path, clips: ClipPool, options: argparse.Namespace
) -> tuple[str, dict[str, Any]]:
    """The report on a bundle beside the earlier one, and its figures."""
    teacher = Teacher(options.teacher)
    validation = evaluate.validation_set(clips, teacher)
    samples = evaluate.wav_files(options.samples, teacher) if options.samples else None
    earlier, now = (
        report.BundleResults(
            classifier.bundle.manifest.version,
            evaluate.evaluate(classifier, validation),
            evaluate.evaluate(classifier, samples) if samples else None,
        )
        for classifier in (AudioClassifier.open(options.earlier), AudioClassifier.open(directory))
    )
    size_bytes = sum(entry.size for entry in Bundle.open(directory).manifest.files)
    facts = {
        "size of the bundle": f"{size_bytes / 1e6:.1f} MB",
        "embedding time per patch on one core": f"{milliseconds_a_patch(directory / EMBEDDING):.2f} ms",
    }
    return report.document(now, earlier, validation, samples, facts), report.metrics(now.validation)


def milliseconds_a_patch(model: Path) -> float:
    """The median of how long the embedding of a patch takes, ten at a time."""
    embedder = Embedder(model, threads=1)
    patches = np.zeros((CLIP_PATCHES, PATCH_FRAMES, MEL_BANDS), np.float32)
    times_s = []
    for _ in range(30):
        begin_s = time.perf_counter()
        embedder.embed(patches)
        times_s.append(time.perf_counter() - begin_s)
    return 1000 * float(np.median(times_s)) / CLIP_PATCHES


def _is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime


if __name__ == "__main__":
    main()
