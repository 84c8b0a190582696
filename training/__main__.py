"""Train the built-in bundle from scratch: ``python -m training``.

A run can be interrupted at any time; the next run continues with the interrupted stage.
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
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.manifest import EMBEDDING, HEAD, POSTPROCESS
from training import pool
from training.data.clips import ClipPool
from training.evaluation import evaluate, real_labels, report
from training.logs import log_progress, show_log
from training.student import assemble
from training.teacher.clip_teacher import ClipTeacher
from training.teacher.label import NATURAL, SHARDS, label_natural
from training.teacher.labelling import labelling
from training.teacher.yamnet import Teacher, read_layers

_log = logging.getLogger("training")

BUNDLE: Final = "bundle"
MAX_PATCHES: Final = 2_000_000
QUICK_MINUTES: Final = 0.5
QUICK_PATCHES: Final = 6000
REPORT: Final = "EVALUATION.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a bundle, or continue an interrupted run."""
    options = build_parser().parse_args(arguments)
    # Modules that need PyTorch are imported where they are used, so that --help works without it.
    from training.student import train_embedding

    show_log()
    work: Path = options.work
    minutes = QUICK_MINUTES if options.quick else options.minutes
    head_minutes = QUICK_MINUTES if options.quick else options.head_minutes

    _log.info("1 of 6: build the pool of clips")
    clips = pool.build(work, options.recordings, quick=options.quick)
    _log.info("2 of 6: label %d clips", len(clips))
    label_natural(
        clips, Teacher(options.teacher), work / SHARDS / NATURAL, log_progress(), _clip_teacher(options)
    )
    _log.info("3 of 6: train the embedding network for %g min", minutes)
    patches = QUICK_PATCHES if options.quick else MAX_PATCHES
    with labelling(work, options.teacher, minutes, patches, options.clip_teacher):
        agreed = train_embedding.train(
            work,
            clips.clips,
            read_layers(options.teacher),
            minutes=minutes,
        )
    _log.info("validation, patches: %s", agreed)
    _log.info("4 of 6: export the embedding network")
    export(work)
    _log.info("5 of 6: fit the PCA and train the head for %g min", head_minutes)
    train_the_head(work, clips, head_minutes)
    _log.info("6 of 6: evaluate the model and write the bundle")
    finish(work, clips, options)


def build_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = argparse.ArgumentParser(prog="python -m training", description=main.__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("build/training"), help="work directory (default: %(default)s)"
    )
    parser.add_argument("--teacher", type=Path, required=True, help="path of yamnet.tflite")
    parser.add_argument(
        "--clip-teacher",
        type=Path,
        help="bundle of a second teacher that reads clips, such as EfficientAT mn04",
    )
    parser.add_argument("--recordings", type=Path, help="folder of additional recordings for training")
    parser.add_argument(
        "--minutes",
        type=float,
        default=120,
        help="minutes of training for the embedding network (default: %(default)s)",
    )
    parser.add_argument(
        "--head-minutes",
        type=float,
        default=10,
        help="minutes of training for the head (default: %(default)s)",
    )
    parser.add_argument("--version", default="0.4.0", help="version of the bundle (default: %(default)s)")
    parser.add_argument("--earlier", default="compact", help="bundle to compare with (default: %(default)s)")
    parser.add_argument(
        "--esc10", type=Path, help="folder of ESC-10, for the section of the report on labels by people"
    )
    parser.add_argument(
        "--samples", type=Path, help="folder of WAV files whose predictions are listed in the report"
    )
    parser.add_argument(
        "--quick", action="store_true", help="run all stages on a few clips, as a test of the pipeline"
    )
    return parser


def export(work: Path) -> None:
    """Export the checkpoint as ``embedding.tflite``, unless the export is up to date."""
    from training.student import train_embedding
    from training.student.export import export_embedding

    checkpoint, target = work / train_embedding.CHECKPOINT, work / EMBEDDING
    if _is_newer(target, checkpoint):
        return
    partial = target.with_suffix(".partial")
    partial.write_bytes(export_embedding(train_embedding.load_student(checkpoint)))
    partial.replace(target)


def train_the_head(work: Path, clips: ClipPool, minutes: float) -> None:
    """Fit the PCA and train the head for the exported network, unless both are up to date."""
    from training.student import train_embedding, train_head

    model = work / EMBEDDING
    if all(_is_newer(work / name, model) for name in (POSTPROCESS, HEAD)):
        return
    student = train_embedding.load_student(work / train_embedding.CHECKPOINT)
    postprocessor, head, agreed = train_head.train(work, clips.clips, model, student, minutes=minutes)
    train_head.save(work, postprocessor, head)
    _log.info("validation, clips: %s", agreed)


def finish(work: Path, clips: ClipPool, options: argparse.Namespace) -> None:
    """Evaluate the trained model; write the bundle and the report to the work directory."""
    with tempfile.TemporaryDirectory() as folder:
        assemble.write(
            Path(folder, BUNDLE), work, clips.clips, teacher_path=options.teacher,
            clip_teacher_path=options.clip_teacher, version=options.version, metrics={},
        )  # fmt: skip
        text, measured = evaluate_bundle(Path(folder, BUNDLE), clips, options)
    shutil.rmtree(work / BUNDLE, ignore_errors=True)
    bundle = assemble.write(
        work / BUNDLE, work, clips.clips, teacher_path=options.teacher,
        clip_teacher_path=options.clip_teacher, version=options.version, metrics=measured,
    )  # fmt: skip
    (work / REPORT).write_text(text, encoding="utf-8")
    _log.info("%s: %s", bundle.directory, measured)


def evaluate_bundle(
    directory: Path, clips: ClipPool, options: argparse.Namespace
) -> tuple[str, dict[str, Any]]:
    """Compare a bundle with the earlier one; return the report and the figures for the manifest."""
    teachers = Teacher(options.teacher), _clip_teacher(options)
    validation = evaluate.validation_set(clips, *teachers)
    samples = evaluate.wav_files(options.samples, *teachers) if options.samples else None
    classifiers = [AudioClassifier.open(options.earlier), AudioClassifier.open(directory)]
    earlier, current = (
        report.BundleResults(
            classifier.bundle.manifest.version,
            evaluate.evaluate(classifier, validation),
            evaluate.evaluate(classifier, samples) if samples else None,
        )
        for classifier in classifiers
    )
    labelled = real_labels.section(options.esc10, classifiers) if options.esc10 else None
    size_bytes = sum(entry.size for entry in Bundle.open(directory).manifest.files)
    facts = {
        "size of the bundle": f"{size_bytes / 1e6:.1f} MB",
        "embedding time per patch on one core": f"{milliseconds_per_patch(directory / EMBEDDING):.2f} ms",
    }
    text = report.document(current, earlier, validation, samples, facts, labelled)
    return text, report.metrics(current.validation)


def milliseconds_per_patch(model: Path) -> float:
    """Measure the median time to embed a patch, in batches of ten."""
    embedder = Embedder(model, threads=1)
    patches = np.zeros((CLIP_PATCHES, PATCH_FRAMES, MEL_BANDS), np.float32)
    times_s = []
    for _ in range(30):
        begin_s = time.perf_counter()
        embedder.embed(patches)
        times_s.append(time.perf_counter() - begin_s)
    return 1000 * float(np.median(times_s)) / CLIP_PATCHES


def _clip_teacher(options: argparse.Namespace) -> ClipTeacher | None:
    return ClipTeacher(options.clip_teacher) if options.clip_teacher else None


def _is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime


if __name__ == "__main__":
    main()
