"""The network that learns: its teacher, a MobileNet (Howard et al., arXiv:1704.04861), with fewer channels.

It begins with what its teacher knows (`pruning`), so it has the teacher's layers and paddings, and no
BatchNorm: that is folded in already.  Behind them comes the bottleneck of 128 numbers that the attention head
hears.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from audio_classifier.params import EMBEDDING_SIZE, LOG_OFFSET
from training.teacher import HINT_SIZE, TEACHER_CLASSES, TEACHER_LOG_OFFSET

STRIDES: Final = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of YAMNet's layers, the first of them the stem

# Channels after each layer.  The first ones carry most for their time: they keep three quarters of the
# teacher's, its five of 512 in the middle, which say much the same, keep less than a half.
CHANNELS: Final = (16, 48, 96, 96, 160, 160, 288, 256, 224, 224, 224, 256, 512, 512)
QUICK_CHANNELS: Final = (8, 8, 16, 16, 16, 16, 32, 32, 32, 32, 32, 32, 64, 64)

RARE_BIAS: Final = -7.0  # most classes are silent most of the time
LOGIT_FLOOR: Final = -9.0  # below, differences between logits mean nothing
LOGIT_LOSS: Final = 0.05
BOTTLENECK_HINT_LOSS: Final = 2.0
POOLED_HINT_LOSS: Final = 4.0
HINT_RANGE: Final = 5.0


class Block(nn.Module):
    """Depthwise 3 x 3, then pointwise, each with a ReLU behind it."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=stride, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """Its first half: ``(n, inputs, height, width)`` -> the same of half the height where it strides."""
        return torch.relu(_as_tensorflow_pads(self.depthwise(x), self.depthwise))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, inputs, height, width)`` -> ``(n, outputs, height / stride, width / stride)``."""
        return torch.relu_(self.pointwise(self.spread(x)))


class Trunk(nn.Module):
    """The convolutions, of the teacher or of a student: log-mels -> maps of channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.stem = nn.Conv2d(1, channels[0], 3, STRIDES[0], padding=STRIDES[0])
        pairs = zip(channels[:-1], channels[1:], STRIDES[1:], strict=True)
        self.blocks = nn.Sequential(*(Block(*pair) for pair in pairs))
        self.to(memory_format=torch.channels_last)

    def begin(self, log_mels: torch.Tensor) -> torch.Tensor:
        """The stem: ``(n, 96, 64)`` log-mels, with the teacher's offset, -> ``(n, channels, 48, 32)``."""
        x = log_mels.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return torch.relu(_as_tensorflow_pads(self.stem(x), self.stem))

    def forward(self, log_mels: torch.Tensor) -> torch.Tensor:
        """``(n, 96, 64)`` log-mels, with the teacher's offset, -> ``(n, channels, 3, 2)``."""
        return self.blocks(self.begin(log_mels))

    def hold(self, blocks: int) -> None:
        """Learn no more in the stem and the first blocks."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)


class Outputs(NamedTuple):
    """What the teacher judges: logits ``(n, 521)`` and, twice, a guess at its embedding ``(n, 1024)``."""

    logits: torch.Tensor
    hint_from_bottleneck: torch.Tensor
    hint_from_pooled: torch.Tensor


class Student(nn.Module):
    """``(n, 96, 64)`` log-mels -> ``(n, 128)`` embeddings, and what only training needs behind them."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        pooled = trunk.channels[-1]
        self.trunk = trunk
        self.bottleneck = nn.Linear(pooled, EMBEDDING_SIZE)
        self.classes = nn.Linear(EMBEDDING_SIZE, TEACHER_CLASSES)
        self.hint_from_bottleneck = nn.Linear(EMBEDDING_SIZE, HINT_SIZE)
        self.hint_from_pooled = nn.Linear(pooled, HINT_SIZE)
        nn.init.constant_(self.classes.bias, RARE_BIAS)

    def pool(self, log_mels: torch.Tensor) -> torch.Tensor:
        """``(n, 96, 64)`` log-mels, with our offset, -> the last layer's channels, averaged."""
        return self.trunk(with_teacher_offset(log_mels)).mean((2, 3))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """The bottleneck: what `pool` gives -> ``(n, 128)``, none negative."""
        return torch.relu(self.bottleneck(pooled))

    def forward(self, log_mels: torch.Tensor) -> Outputs:
        """``(n, 96, 64)`` -> all that is learned from."""
        pooled = self.pool(log_mels)
        embedding = self.embed(pooled)
        return Outputs(
            self.classes(embedding), self.hint_from_bottleneck(embedding), self.hint_from_pooled(pooled)
        )


def with_teacher_offset(log_mels: torch.Tensor) -> torch.Tensor:
    """Our ``log(mel + 0.01)`` as the teacher's ``log(mel + 0.001)``; see `teacher.teacher_log_mels`."""
    return torch.log((log_mels.exp() - LOG_OFFSET).clamp(min=0) + TEACHER_LOG_OFFSET)


def _as_tensorflow_pads(y: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """What "SAME" gives there: with a stride of 2 it pads behind only, so an output less in front."""
    return y if layer.stride[0] == 1 else y[:, :, 1:, 1:]


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
