"""The network that learns: depthwise separable convolutions, as MobileNet (Howard et al., arXiv:1704.04861).

Like its teacher, but a third of it, with shortcuts around blocks that keep the shape, and with the bottleneck
of 128 numbers that the attention head hears.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from audio_classifier.params import EMBEDDING_SIZE
from training.teacher import HINT_SIZE, TEACHER_CLASSES

# About the mean and the standard deviation of log-mels over the recordings.
INPUT_MEAN: Final = -1.2
INPUT_SCALE: Final = 2.0

RARE_BIAS: Final = -7.0  # most classes are silent most of the time
LOGIT_FLOOR: Final = -9.0  # below, differences between logits mean nothing
LOGIT_LOSS: Final = 0.05
BOTTLENECK_HINT_LOSS: Final = 2.0
POOLED_HINT_LOSS: Final = 4.0
HINT_RANGE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the student is.

    Attributes
    ----------
    stem
        Channels after the first convolution, which halves both axes.
    channels
        Of each stage, whose first block halves both axes again.
    repeats
        Further blocks in each stage.
    """

    stem: int = 16
    channels: tuple[int, ...] = (48, 128, 320, 640)
    repeats: tuple[int, ...] = (1, 1, 4, 1)

    def blocks(self) -> list[tuple[int, int, int]]:
        """``(inputs, outputs, stride)`` of each block."""
        rows, inputs = [], self.stem
        for outputs, repeats in zip(self.channels, self.repeats, strict=True):
            rows += [(inputs, outputs, 2), *[(outputs, outputs, 1)] * repeats]
            inputs = outputs
        return rows

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint; ``Shape(**shape.as_dict())`` is the same again."""
        return asdict(self)


QUICK: Final = Shape(stem=8, channels=(16, 32, 64, 128), repeats=(0, 0, 1, 0))


class Block(nn.Module):
    """Depthwise 3 x 3, pointwise, each with BatchNorm and ReLU; around both a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.depthwise_norm = _norm(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise_norm = _norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, inputs, height, width)`` -> ``(n, outputs, height / stride, width / stride)``."""
        y = torch.relu_(self.depthwise_norm(self.depthwise(x)))
        y = self.pointwise_norm(self.pointwise(y))
        return torch.relu_(y + x if self.shortcut else y)


class Outputs(NamedTuple):
    """What the teacher judges: logits ``(n, 521)`` and, twice, a guess at its embedding ``(n, 1024)``."""

    logits: torch.Tensor
    hint_from_bottleneck: torch.Tensor
    hint_from_pooled: torch.Tensor


class Student(nn.Module):
    """``(n, 96, 64)`` log-mels -> ``(n, 128)`` embeddings, and what only training needs behind them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Conv2d(1, shape.stem, 5, 2, padding=2, bias=False)
        self.stem_norm = _norm(shape.stem)
        self.blocks = nn.Sequential(*(Block(*block) for block in shape.blocks()))
        pooled = shape.channels[-1]
        self.bottleneck = nn.Linear(pooled, EMBEDDING_SIZE)
        self.bottleneck_norm = nn.BatchNorm1d(EMBEDDING_SIZE, momentum=0.05)
        self.classes = nn.Linear(EMBEDDING_SIZE, TEACHER_CLASSES)
        self.hint_from_bottleneck = nn.Linear(EMBEDDING_SIZE, HINT_SIZE)
        self.hint_from_pooled = nn.Linear(pooled, HINT_SIZE)
        nn.init.constant_(self.classes.bias, RARE_BIAS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                mode = "fan_out" if module.groups == 1 else "fan_in"
                nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def pool(self, log_mels: torch.Tensor) -> torch.Tensor:
        """``(n, 96, 64)`` -> the last stage's channels, averaged."""
        x = ((log_mels - INPUT_MEAN) / INPUT_SCALE).unsqueeze(1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        return self.blocks(torch.relu_(self.stem_norm(x))).mean((2, 3))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """The bottleneck: what `pool` gives -> ``(n, 128)``, none negative."""
        return torch.relu(self.bottleneck_norm(self.bottleneck(pooled)))

    def forward(self, log_mels: torch.Tensor) -> Outputs:
        """``(n, 96, 64)`` -> all that is learned from."""
        pooled = self.pool(log_mels)
        embedding = self.embed(pooled)
        return Outputs(
            self.classes(embedding), self.hint_from_bottleneck(embedding), self.hint_from_pooled(pooled)
        )


class HintScale(nn.Module):
    """The teacher's pooled embedding as it is learned: its root, for it is long-tailed, standardised."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.zeros(HINT_SIZE))
        self.register_buffer("deviation", torch.ones(HINT_SIZE))

    def fit(self, hints: torch.Tensor) -> None:
        """Learn mean and deviation from ``(n, 1024)`` hints."""
        roots = hints.sqrt()
        self.mean.copy_(roots.mean(0))
        self.deviation.copy_(roots.std(0).clamp(min=0.05))

    def forward(self, hints: torch.Tensor) -> torch.Tensor:
        """``(n, 1024)`` -> the same, each about within -5 to 5."""
        return ((hints.sqrt() - self.mean) / self.deviation).clamp(-HINT_RANGE, HINT_RANGE)


def loss(outputs: Outputs, logits: torch.Tensor, hints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the student is from its teacher, and the part of it that is on the scores (a divergence).

    Parameters
    ----------
    logits
        The teacher's, ``(n, 521)``.
    hints
        Its embedding as `HintScale` gives it, ``(n, 1024)``.
    """
    divergence, weighted = score_loss(outputs.logits, logits)
    hint = BOTTLENECK_HINT_LOSS * _hint_loss(outputs.hint_from_bottleneck, hints)
    hint = hint + POOLED_HINT_LOSS * _hint_loss(outputs.hint_from_pooled, hints)
    return divergence + LOGIT_LOSS * weighted + hint, divergence


def score_loss(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence of the scores, summed over classes; and squared error of logits where it matters."""
    target = torch.sigmoid(teacher)
    entropy = functional.binary_cross_entropy_with_logits(teacher.clamp(-16, 16), target, reduction="sum")
    cross = functional.binary_cross_entropy_with_logits(student, target, reduction="sum")
    floored = teacher.clamp(min=LOGIT_FLOOR)
    both_low = (student < LOGIT_FLOOR) & (teacher < LOGIT_FLOOR)
    error = torch.where(both_low, floored, student) - floored
    weighted = (error.square() * (0.03 + target.sqrt())).sum()
    return (cross - entropy) / len(student), weighted / len(student)


def _hint_loss(guess: torch.Tensor, hint: torch.Tensor) -> torch.Tensor:
    angle = 1 - functional.cosine_similarity(guess, hint, dim=1).mean()
    return functional.mse_loss(guess, hint) + angle


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=0.05)
