"""Train the embedding network for a given time, on shards that grow during training.

The student begins with the teacher's layers in 8 bits and learns to compensate for the rounding. Before that,
the new layers after them are trained on the teacher's embeddings. Training can be interrupted at any time and
continues from the last checkpoint. The optimiser is AdamW; the learning rate warms up, stays constant and
decays over the last 40 % of the time. The first layers are frozen after a quarter of the time. The result is
a running mean of the weights.
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
    pair_loss,
    with_teacher_offset,
)
from training.student.sampling import Patches, Sampler, read
from training.student.schedule import learning_rate_factor, update_mean
from training.teacher.label import CLIPS, NATURAL, SHARDS
from training.teacher.shards import ShardReader
from training.teacher.yamnet import Layer, read_layers, teacher_classes

_log = logging.getLogger(__name__)

CHECKPOINT: Final = "embedding.pt"

LEARNING_RATE: Final = 2e-5  # of the teacher's layers; a higher rate would destroy their weights
NEW_LEARNING_RATE: Final = 2e-4  # of the new layers
WEIGHT_DECAY: Final = 1e-2
BATCH_PATCHES: Final = 64
DECAY_SHARE: Final = 0.4
MEAN_HORIZON_STEPS: Final = 1000
# The first blocks take two thirds of a step, and soon match the teacher's, so they are frozen early.
EARLY_BLOCKS: Final = 5
EARLY_SHARE: Final = 0.25  # of the time until they are frozen
GRADIENT_NORM: Final = 5.0

# Before the training, the new layers are trained on the teacher's embeddings for this share of its time.
HINT_SHARE: Final = 0.1
HINT_PATCHES: Final = 20_000
HINT_BATCH_PATCHES: Final = 256
HINT_LEARNING_RATE: Final = 2e-3
RANGE_PATCHES: Final = 1000  # number of patches from which ranges and limits are found
VALIDATION_PATCHES: Final = 2000
REFRESH_S: Final = 120.0  # between two searches for newly labelled patches
CHECKPOINT_S: Final = 300.0


@dataclass
class State:
    """State of the training, as stored in a checkpoint."""

    student: Student
    mean: Student
    optimizer: torch.optim.Optimizer
    hint_scale: HintScale
    step: int = 0
    elapsed_s: float = 0.0

    @classmethod
    def new(cls, trunk: Trunk, seed: int) -> State:
        """Create the state of an untrained student with a given trunk."""
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
        """Write a checkpoint atomically."""
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
    """Load the student of a checkpoint for inference, with its mean weights."""
    return State.load(path).mean


def train(
    work: Path,
    clips: list[Clip],
    layers: Sequence[Layer],
    *,
    minutes: float,
    seed: int = 0,
) -> Comparison:
    """Train for ``minutes`` in total, including the time before the last checkpoint.

    Parameters
    ----------
    work
        Work directory with the labelled shards and the checkpoint.
    clips
        The clips of the pool.
    layers
        The teacher's layers, with which a new student begins.
    minutes
        Total training time.
    seed
        Seed of a new student and of the batches.

    Returns
    -------
    Agreement of the student's mean weights with the teacher on the validation patches.
    """
    # One CPU is left to the labelling process.
    torch.set_num_threads(max(1, available_cpus() - 1))
    checkpoint = work / CHECKPOINT
    natural = ShardReader(work / SHARDS / NATURAL)
    sampler = Sampler(work / SHARDS, clips, natural)
    validation = validation_patches(natural, clips)
    if checkpoint.exists():
        state = State.load(checkpoint)
    else:
        state = initialise(
            layers,
            sampler.batch(np.random.default_rng(seed), HINT_PATCHES),
            HINT_SHARE * 60 * minutes,
            seed,
        )
    rng = np.random.default_rng((seed, state.step))
    clock = _Clock(state.elapsed_s)
    divergence = torch.tensor(0.0)
    # A single thread reads the next batch during each step, because the sampler is not thread-safe.
    with ThreadPoolExecutor(1) as reader:
        batch = reader.submit(sampler.batch, rng, BATCH_PATCHES)
        while (share := clock.now_s() / (60 * minutes)) < 1:
            for group in state.optimizer.param_groups:
                group["lr"] = group["full_rate"] * learning_rate_factor(share, state.step, DECAY_SHARE)
            if share > EARLY_SHARE:
                state.student.trunk.freeze(EARLY_BLOCKS)
            patches, batch = batch.result(), reader.submit(sampler.batch, rng, BATCH_PATCHES)
            divergence = divergence.lerp(train_step(state, patches), max(0.02, 1 / state.step))
            if clock.is_due("refresh", REFRESH_S):
                labelled = reader.submit(sampler.refresh).result()
                speed = BATCH_PATCHES * state.step / clock.now_s()
                _log.info(
                    "%.1f of %.0f min, %d samples of %d patches, %.0f per second, divergence %.3f",
                    clock.now_s() / 60, minutes, BATCH_PATCHES * state.step, labelled, speed, divergence,
                )  # fmt: skip
            if clock.is_due("checkpoint", CHECKPOINT_S):
                state.elapsed_s = clock.now_s()
                state.save(checkpoint)
                _log.info("validation: %s", validate(state.mean, validation))
    state.elapsed_s = max(state.elapsed_s, clock.now_s())
    state.save(checkpoint)
    return validate(state.mean, validation)


def initialise(layers: Sequence[Layer], patches: Patches, seconds: float, seed: int) -> State:
    """Create a student from the teacher's layers in 8 bits, and train the new layers after them.

    The new layers are trained for ``seconds`` on the teacher's embeddings, which the 8-bit layers will
    approximate.
    """
    state = State.new(Trunk.from_teacher(layers), seed)
    state.hint_scale.fit(torch.from_numpy(patches.hint))
    _train_new_layers(state, patches, seconds)
    log_mels = with_teacher_offset(torch.from_numpy(patches.mel[:RANGE_PATCHES]))
    equalize(state.student, log_mels)
    state.student.trunk.begin_rounding(log_mels)
    state.mean.load_state_dict(state.student.state_dict())
    return state


def _train_new_layers(state: State, patches: Patches, seconds: float) -> None:
    _, logits, hints, pair_logits = map(torch.from_numpy, patches)
    scaled = state.hint_scale(hints)
    _, new = state.student.inherited_and_new()
    optimizer = torch.optim.AdamW(new, weight_decay=WEIGHT_DECAY)
    clock, step = _Clock(0.0), 0
    while (share := clock.now_s() / seconds) < 1:
        factor = learning_rate_factor(share, step, decay_share=1.0)
        optimizer.param_groups[0]["lr"] = HINT_LEARNING_RATE * factor
        rows = torch.randint(len(hints), (HINT_BATCH_PATCHES,))
        total, _ = loss(state.student.outputs(hints[rows]), logits[rows], scaled[rows])
        if pairs := len(pair_logits):
            first = torch.randint(pairs, (HINT_BATCH_PATCHES // 4,))
            embeddings = state.student.embed(hints[torch.cat([first, pairs + first])])
            total = total + pair_loss(state.student, embeddings, pair_logits[first])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        step += 1


def train_step(state: State, batch: Patches) -> torch.Tensor:
    """Take one optimiser step; return the divergence of the scores before it."""
    state.student.train()
    mel, logits, hint, pair_logits = map(torch.from_numpy, batch)
    outputs = state.student(mel)
    total, divergence = loss(outputs, logits, state.hint_scale(hint))
    total = total + pair_loss(state.student, outputs.embedding[: 2 * len(pair_logits)], pair_logits)
    state.optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(state.student.parameters(), GRADIENT_NORM)
    state.optimizer.step()
    state.step += 1
    update_mean(state.mean, state.student, state.step, MEAN_HORIZON_STEPS)
    return divergence.detach()


def validation_patches(natural: ShardReader, clips: list[Clip]) -> Patches:
    """Read validation patches, spaced evenly over all validation recordings."""
    rows = np.flatnonzero(splits(clips)[natural.clip[: natural.count]] == VALIDATION)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), VALIDATION_PATCHES)).astype(int)
    return read(natural, rows[chosen])


def validate(student: Student, patches: Patches) -> Comparison:
    """Measure a student's agreement with the teacher."""
    with torch.inference_mode():
        parts = torch.from_numpy(patches.mel).split(BATCH_PATCHES)
        logits = torch.cat([student(part).logits for part in parts]).numpy()
    return compare(sigmoid(logits), sigmoid(patches.logits), teacher_classes())


class _Clock:
    """Training time in seconds, including earlier runs, and the schedule of periodic actions."""

    def __init__(self, elapsed_s: float) -> None:
        self._zero_s = time.monotonic() - elapsed_s
        self._last_s: dict[str, float] = {}
        self._began_s = elapsed_s

    def now_s(self) -> float:
        return time.monotonic() - self._zero_s

    def is_due(self, action: str, every_s: float) -> bool:
        due = self.now_s() - self._last_s.get(action, self._began_s) >= every_s
        if due:
            self._last_s[action] = self.now_s()
        return due


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the embedding network, or continue an interrupted training."""
    parser = argparse.ArgumentParser(
        prog="python -m training.student.train_embedding", description=main.__doc__
    )
    parser.add_argument("--work", type=Path, required=True, help="work directory with the labelled shards")
    parser.add_argument("--teacher", type=Path, required=True, help="path of yamnet.tflite")
    parser.add_argument("--minutes", type=float, required=True, help="total minutes of training")
    options = parser.parse_args(arguments)
    show_log()
    clips, layers = ClipPool.open(options.work / CLIPS).clips, read_layers(options.teacher)
    agreed = train(options.work, clips, layers, minutes=options.minutes)
    _log.info("validation: %s", agreed)


if __name__ == "__main__":
    main()
