"""Label patches in a background process while the embedding network trains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from training.data.clips import ClipPool
from training.logs import log_progress, show_log
from training.teacher.clip_teacher import ClipTeacher
from training.teacher.label import AUGMENTED, CLIPS, MIXED, NATURAL, SHARDS, label_augmented
from training.teacher.shards import ShardReader
from training.teacher.yamnet import Teacher

# Each kind is labelled until this share of the time has passed, and up to this share of the patches: first
# mixtures for the head, then augmented patches for the embedding network.
SHARES: Final = {MIXED: 0.25, AUGMENTED: 1.0}


class LabellingError(Exception):
    """The labelling process failed."""


@contextmanager
def labelling(
    work: Path, teacher: Path, minutes: float, patches: int, clip_teacher: Path | None = None
) -> Iterator[None]:
    """Label patches in a background process while the block runs.

    Raises
    ------
    LabellingError
        At the end of the block, if the process failed.
    """
    # The process is spawned because one forked from a process with PyTorch's threads may hang.
    worker = get_context("spawn").Process(target=_label, args=(work, teacher, minutes, patches, clip_teacher))
    worker.start()
    try:
        yield
    finally:
        failed = worker.exitcode not in (None, 0)
        worker.terminate()
        worker.join()
    if failed:
        raise LabellingError(f"the labelling process exited with status {worker.exitcode}; see its output")


def _label(
    work: Path, teacher_path: Path, minutes: float, patches: int, clip_teacher_path: Path | None
) -> None:
    show_log()
    clips, natural = ClipPool.open(work / CLIPS), ShardReader(work / SHARDS / NATURAL)
    teacher = Teacher(teacher_path)
    clip_teacher = ClipTeacher(clip_teacher_path) if clip_teacher_path else None
    begin_s = time.monotonic()
    for seed, (kind, share) in enumerate(SHARES.items()):
        end_s = begin_s + 60 * minutes * share
        label_augmented(
            clips,
            natural,
            teacher,
            work / SHARDS / f"{kind}-0",
            kind=kind,
            seed=seed,
            capacity=int(patches * share),
            until=lambda end_s=end_s: time.monotonic() > end_s,  # type: ignore[misc]
            progress=log_progress(),
            clip_teacher=clip_teacher,
        )
