"""The student's training, for as many minutes as it is given, from shards that grow meanwhile.

It begins with its teacher's layers, rounded to 8 bits, and learns to make good what that lost; what is behind
them has learned from the teacher's own embeddings before.  It may be stopped at any time, and goes on from
its last checkpoint.  AdamW; the learning rate rises for a moment, stays, and falls over the last 40 % of the
time; the first layers learn for a quarter of it; what is kept is a running mean of the weights.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from audio_classifier.cpus import available_cpus
from training.data.balance import sigmoid
from training.data.clips import Clip, ClipPool
from training.data.splits import VALIDATION, splits
from training.evaluation.agreement import Comparison, compare
from training.logs import show_log
from training.student.equalization import equalize
from training.student.network import (
    HintScale,
    Student,
    Trunk,
    loss,
    with_teacher_offset,
)
from training.student.sampling import Patches, Sampler, read
from training.student.schedule import follow, rate
from training.teacher.label import CLIPS, NATURAL, SHARDS
from training.teacher.shards import ShardReader
from training.teacher.yamnet import Layer, read_layers, teacher_classes

_log = logging.getLogger(__name__)

CHECKPOINT: Final = "embedding.pt"

LEARNING_RATE: Final = 2e-5  # of what was the teacher's; more would undo it
NEW_LEARNING_RATE: Final = 2e-4  # of what is behind it
WEIGHT_DECAY: Final = 1e-2
BATCH_PATCHES: Final = 64
DECAY_SHARE: Final = 0.4
MEAN_HORIZON_STEPS: Final = 1000
# The first layers, which are as good as the teacher's soon, cost two thirds of a step.
EARLY_BLOCKS: Final = 5
EARLY_SHARE: Final = 0.25  # of the time, in which they learn, too
GRADIENT_NORM: Final = 5.0

# What is behind the layers learns before, for as much longer, from embeddings alone.
HINT_SHARE: Final = 0.1
HINT_PATCHES: Final = 20_000
HINT_BATCH_PATCHES: Final = 256
HINT_LEARNING_RATE: Final = 2e-3
RANGE_PATCHES: Final = 1000  # by which ranges and limits are found
VALIDATION_PATCHES: Final = 2000
LOOK_S: Final = 120.0  # between two looks at what was labelled meanwhile
CHECKPOINT_S: Final = 300.0


@dataclass
class State:
    """All that training has come to; a checkpoint holds it."""

    student: Student
    mean: Student
    optimizer: torch.optim.Optimizer
    hint_scale: HintScale
    step: int = 0
    elapsed_s: float = 0.0

    @classmethod
    def new(cls, trunk: Trunk, seed: int) -> State:
        """A student that has learned nothing yet but what its trunk knows."""
        torch.manual_seed(seed)
        student = Student(trunk)
        inherited, new = student.inherited_and_new()
        optimizer = torch.optim.AdamW(
            [
                {"params": inherited, "full_rate": LEARNING_RATE},
                {"params": new, "full_rate": NEW_LEARNING_RATE},
            ],
            weight_decay=WEIGHT_DECAY,
            betas=(0.9, 0.98),
            fused=True,
        )
        return cls(student, copy.deepcopy(student).eval(), optimizer, HintScale())

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        content = {name: getattr(self, name).state_dict() for name in _PARTS}
        content |= {"channels": self.student.trunk.channels, "step": self.step, "elapsed_s": self.elapsed_s}
        torch.save(content, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read a checkpoint."""
        content = torch.load(path, weights_only=True)
        state = cls.new(Trunk(content["channels"]), seed=0)
        for name in _PARTS:
            getattr(state, name).load_state_dict(content[name])
        state.step, state.elapsed_s = content["step"], content["elapsed_s"]
        return state


_PARTS: Final = ("student", "mean", "optimizer", "hint_scale")


def load_student(path: Path) -> Student:
    """The student of a checkpoint, as it is used: its mean weights, not learning any more."""
    return State.load(path).mean


def train(
    work: Path,
    clips: list[Clip],
    layers: Sequence[Layer],
    *,
    minutes: float,
    seed: int = 0,
) -> Comparison:
    """Train for ``minutes`` in all, those before the last checkpoint included.

    Parameters
    ----------
    work
        The work directory: labelled shards in it, and the checkpoint.
    clips
        The pool's.
    layers
        The teacher's, with which a new student begins.

    Returns
    -------
    How the student's mean weights agree with the teacher on validation's patches.
    """
    # One CPU is for the process that labels.
    torch.set_num_threads(max(1, available_cpus() - 1))
    checkpoint = work / CHECKPOINT
    natural = ShardReader(work / SHARDS / NATURAL)
    sampler = Sampler(work / SHARDS, clips, natural)
    validation = validation_patches(natural, clips)
    if checkpoint.exists():
        state = State.load(checkpoint)
    else:
        state = begin(
            layers,
            sampler.batch(np.random.default_rng(seed), HINT_PATCHES),
            HINT_SHARE * 60 * minutes,
            seed,
        )
    rng = np.random.default_rng((seed, state.step))
    clock = _Clock(state.elapsed_s)
    divergence = torch.tensor(0.0)
    # The next batch is read while this one is learned from, by one thread: a sampler cannot serve two.
    with ThreadPoolExecutor(1) as reader:
        batch = reader.submit(sampler.batch, rng, BATCH_PATCHES)
        while (share := clock.now_s() / (60 * minutes)) < 1:
            for group in state.optimizer.param_groups:
                group["lr"] = group["full_rate"] * rate(share, state.step, DECAY_SHARE)
            if share > EARLY_SHARE:
                state.student.trunk.hold(EARLY_BLOCKS)
            patches, batch = batch.result(), reader.submit(sampler.batch, rng, BATCH_PATCHES)
            divergence = divergence.lerp(learn(state, patches), max(0.02, 1 / state.step))
            if clock.is_due("look", LOOK_S):
                labelled = reader.submit(sampler.refresh).result()
                speed = BATCH_PATCHES * state.step / clock.now_s()
                _log.info(
                    "%.1f of %.0f min, %d samples of %d patches, %.0f a second, divergence %.3f",
                    clock.now_s() / 60, minutes, BATCH_PATCHES * state.step, labelled, speed, divergence,
                )  # fmt: skip
            if clock.is_due("checkpoint", CHECKPOINT_S):
                state.elapsed_s = clock.now_s()
                state.save(checkpoint)
                _log.info("validation: %s", validate(state.mean, validation))
    state.elapsed_s = max(state.elapsed_s, clock.now_s())
    state.save(checkpoint)
    return validate(state.mean, validation)


def begin(layers: Sequence[Layer], patches: Patches, seconds: float, seed: int) -> State:
    """What is to be trained: the teacher's layers in 8 bits, and what is behind them.

    That learns for some seconds before, from the teacher's own embeddings, which the layers will nearly give.
    """
    state = State.new(Trunk.of_teacher(layers), seed)
    state.hint_scale.fit(torch.from_numpy(patches.hint))
    _learn_behind(state, patches, seconds)
    log_mels = with_teacher_offset(torch.from_numpy(patches.mel[:RANGE_PATCHES]))
    equalize(state.student, log_mels)
    state.student.trunk.begin_rounding(log_mels)
    state.mean.load_state_dict(state.student.state_dict())
    return state


def _learn_behind(state: State, patches: Patches, seconds: float) -> None:
    hints, logits = torch.from_numpy(patches.hint), torch.from_numpy(patches.logits)
    scaled = state.hint_scale(hints)
    _, behind = state.student.inherited_and_new()
    optimizer = torch.optim.AdamW(behind, weight_decay=WEIGHT_DECAY)
    clock, step = _Clock(0.0), 0
    while (share := clock.now_s() / seconds) < 1:
        optimizer.param_groups[0]["lr"] = HINT_LEARNING_RATE * rate(share, step, decay_share=1.0)
        rows = torch.randint(len(hints), (HINT_BATCH_PATCHES,))
        total, _ = loss(state.student.judge(hints[rows]), logits[rows], scaled[rows])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        step += 1


def learn(state: State, batch: Patches) -> torch.Tensor:
    """One step; the divergence of the scores before it."""
    state.student.train()
    mel, logits, hint = map(torch.from_numpy, batch)
    total, divergence = loss(state.student(mel), logits, state.hint_scale(hint))
    state.optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(state.student.parameters(), GRADIENT_NORM)
    state.optimizer.step()
    state.step += 1
    follow(state.mean, state.student, state.step, MEAN_HORIZON_STEPS)
    return divergence.detach()


def validation_patches(natural: ShardReader, clips: list[Clip]) -> Patches:
    """Patches of validation's recordings, evenly from all of them."""
    rows = np.flatnonzero(splits(clips)[natural.clip[: natural.count]] == VALIDATION)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), VALIDATION_PATCHES)).astype(int)
    return read(natural, rows[chosen])


def validate(student: Student, patches: Patches) -> Comparison:
    """How a student agrees with its teacher."""
    with torch.inference_mode():
        parts = torch.from_numpy(patches.mel).split(BATCH_PATCHES)
        logits = torch.cat([student(part).logits for part in parts]).numpy()
    return compare(sigmoid(logits), sigmoid(patches.logits), teacher_classes())


class _Clock:
    """Seconds that were trained, those of earlier runs included, and what is due at which of them."""

    def __init__(self, elapsed_s: float) -> None:
        self._zero_s = time.monotonic() - elapsed_s
        self._last_s: dict[str, float] = {}
        self._began_s = elapsed_s

    def now_s(self) -> float:
        return time.monotonic() - self._zero_s

    def is_due(self, what: str, every_s: float) -> bool:
        due = self.now_s() - self._last_s.get(what, self._began_s) >= every_s
        if due:
            self._last_s[what] = self.now_s()
        return due


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the embedding network; goes on where it was left."""
    parser = argparse.ArgumentParser(
        prog="python -m training.student.train_embedding", description=main.__doc__
    )
    parser.add_argument("--work", type=Path, required=True, help="the work directory, with labelled shards")
    parser.add_argument("--teacher", type=Path, required=True, help="yamnet.tflite")
    parser.add_argument("--minutes", type=float, required=True, help="of training in all")
    options = parser.parse_args(arguments)
    show_log()
    clips, layers = ClipPool.open(options.work / CLIPS).clips, read_layers(options.teacher)
    agreed = train(options.work, clips, layers, minutes=options.minutes)
    _log.info("validation: %s", agreed)


if __name__ == "__main__":
    main()
