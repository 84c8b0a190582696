"""The network that learns: its teacher's layers, a MobileNet (Howard et al., arXiv:1704.04861), in 8 bits.

They take a third of the time that they take in float32.  Behind them comes the bottleneck of 128 numbers that
the attention head hears.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import torch
from torch import nn
from torch.nn import functional

from audio_classifier.constants import EMBEDDING_SIZE, LOG_OFFSET
from training.student.rounding import Rounding, round_kernel
from training.teacher.yamnet import HINT_SIZE, TEACHER_CLASSES, TEACHER_LOG_OFFSET, Layer

STRIDES: Final = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of YAMNet's layers, the first of them the stem

RARE_BIAS: Final = -7.0  # most classes are silent most of the time
LOGIT_FLOOR: Final = -9.0  # below, differences between logits mean nothing
LOGIT_LOSS: Final = 0.05
BOTTLENECK_HINT_LOSS: Final = 2.0
POOLED_HINT_LOSS: Final = 4.0
HINT_RANGE: Final = 5.0


class Convolution(nn.Conv2d):
    """With a ReLU behind it, and padding as TensorFlow's "SAME"; in 8 bits once its limit is known."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=stride if size > 1 else 0, groups=groups)
        self.rounding = Rounding()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, inputs, height, width)`` -> ``(n, outputs, height / stride, width / stride)``."""
        kernel = round_kernel(self.weight) if self.rounding.is_on else self.weight
        y = self._conv_forward(x, kernel, self.bias)
        # With a stride of 2 "SAME" pads behind only: there is an output less in front.
        return self.rounding(torch.relu(y if self.stride[0] == 1 else y[:, :, 1:, 1:]))


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Depthwise 3 x 3, then pointwise."""
    return nn.Sequential(
        Convolution(inputs, inputs, 3, stride, groups=inputs), Convolution(inputs, outputs, 1)
    )


class Trunk(nn.Module):
    """The convolutions: log-mels -> maps of channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.rounding = Rounding(lower=math.log(TEACHER_LOG_OFFSET))
        self.stem = Convolution(1, channels[0], 3, STRIDES[0])
        pairs = zip(channels[:-1], channels[1:], STRIDES[1:], strict=True)
        self.blocks = nn.Sequential(*(block(*pair) for pair in pairs))
        self.to(memory_format=torch.channels_last)

    @classmethod
    def of_teacher(cls, layers: Sequence[Layer]) -> Self:
        """The teacher's own; see `teacher.read_layers`."""
        trunk = cls([len(layer.bias) for layer in (layers[0], *layers[2:-1:2])])
        with torch.no_grad():
            for convolution, layer in zip(trunk.layers, layers[:-1], strict=True):
                kernel = torch.tensor(layer.kernel).permute(0, 3, 1, 2)
                convolution.weight.copy_(kernel if convolution.groups == 1 else kernel.transpose(0, 1))
                convolution.bias.copy_(torch.tensor(layer.bias))
        return trunk

    @property
    def layers(self) -> list[Convolution]:
        """All convolutions, in order."""
        return [self.stem, *(layer for pair in self.blocks for layer in pair)]

    def forward(self, log_mels: torch.Tensor) -> torch.Tensor:
        """``(n, 96, 64)`` log-mels, with the teacher's offset, -> ``(n, channels, 3, 2)``."""
        x = log_mels.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return self.blocks(self.stem(self.rounding(x)))

    def hold(self, blocks: int) -> None:
        """Learn no more in the stem and the first blocks."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)

    def begin_rounding(self, log_mels: torch.Tensor) -> None:
        """Compute in 8 bits from now on, with limits found from ``(n, 96, 64)`` log-mels."""
        x = log_mels.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            self.rounding.find_limit(x)
            for layer in self.layers:
                x = layer(x)
                layer.rounding.find_limit(x)


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

    def inherited_and_new(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters that were the teacher's, and those behind them."""
        inherited = [*self.trunk.parameters()]
        return inherited, [*self.parameters()][len(inherited) :]

    def pool(self, log_mels: torch.Tensor) -> torch.Tensor:
        """``(n, 96, 64)`` log-mels, with our offset, -> the last layer's channels, averaged."""
        return self.trunk(with_teacher_offset(log_mels)).mean((2, 3))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """The bottleneck: what `pool` gives -> ``(n, 128)``, none negative."""
        return torch.relu(self.bottleneck(pooled))

    def forward(self, log_mels: torch.Tensor) -> Outputs:
        """``(n, 96, 64)`` -> all that is learned from."""
        return self.judge(self.pool(log_mels))

    def judge(self, pooled: torch.Tensor) -> Outputs:
        """What `pool` gives -> all that is learned from."""
        embedding = self.embed(pooled)
        return Outputs(
            self.classes(embedding), self.hint_from_bottleneck(embedding), self.hint_from_pooled(pooled)
        )


def with_teacher_offset(log_mels: torch.Tensor) -> torch.Tensor:
    """Our ``log(mel + 0.01)`` as the teacher's ``log(mel + 0.001)``; see `teacher.teacher_log_mels`."""
    return torch.log((log_mels.exp() - LOG_OFFSET).clamp(min=0) + TEACHER_LOG_OFFSET)


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
