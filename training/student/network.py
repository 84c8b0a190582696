"""The student network: the teacher's layers, a MobileNet (Howard et al., arXiv:1704.04861), in 8 bits.

In 8 bits the layers take a third of their time in float32. They are followed by the bottleneck of 128 numbers
that the attention head reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import torch
from torch import nn
from torch.nn import functional

from audio_classifier.constants import CLASSES, EMBEDDING_SIZE, LOG_OFFSET
from training.student.rounding import Rounding, round_kernel
from training.teacher.yamnet import HINT_SIZE, TEACHER_CLASSES, TEACHER_LOG_OFFSET, Layer

STRIDES: Final = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of YAMNet's stem and blocks

RARE_BIAS: Final = -7.0  # most classes are absent from most patches
LOGIT_FLOOR: Final = -9.0  # differences between lower logits are ignored
LOGIT_LOSS: Final = 0.05
PAIR_LOSS: Final = 1.0
BOTTLENECK_HINT_LOSS: Final = 2.0
POOLED_HINT_LOSS: Final = 4.0
HINT_RANGE: Final = 5.0


class Convolution(nn.Conv2d):
    """Convolution with a ReLU and TensorFlow's "SAME" padding, in 8 bits once its rounding is on."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=stride if size > 1 else 0, groups=groups)
        self.rounding = Rounding()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, inputs, height, width)`` to ``(n, outputs, height / stride, width / stride)``."""
        kernel = round_kernel(self.weight) if self.rounding.is_on else self.weight
        y = self._conv_forward(x, kernel, self.bias)
        # With a stride of 2, "SAME" pads at the end only, so the first output is dropped.
        return self.rounding(torch.relu(y if self.stride[0] == 1 else y[:, :, 1:, 1:]))


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Create a depthwise 3 x 3 convolution followed by a pointwise one."""
    return nn.Sequential(
        Convolution(inputs, inputs, 3, stride, groups=inputs), Convolution(inputs, outputs, 1)
    )


class Trunk(nn.Module):
    """The convolutions, from log-mels to maps of channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.rounding = Rounding(lower=math.log(TEACHER_LOG_OFFSET))
        self.stem = Convolution(1, channels[0], 3, STRIDES[0])
        pairs = zip(channels[:-1], channels[1:], STRIDES[1:], strict=True)
        self.blocks = nn.Sequential(*(block(*pair) for pair in pairs))
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_teacher(cls, layers: Sequence[Layer]) -> Self:
        """Create a trunk with the teacher's weights; see `yamnet.read_layers`."""
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
        """Map ``(n, 96, 64)`` log-mels with the teacher's log offset to ``(n, channels, 3, 2)``."""
        x = log_mels.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return self.blocks(self.stem(self.rounding(x)))

    def freeze(self, blocks: int) -> None:
        """Stop the training of the stem and the first ``blocks`` blocks."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)

    def begin_rounding(self, log_mels: torch.Tensor) -> None:
        """Turn on rounding, with limits found from ``(n, 96, 64)`` log-mels with the teacher's offset."""
        x = log_mels.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            self.rounding.find_limit(x)
            for layer in self.layers:
                x = layer(x)
                layer.rounding.find_limit(x)


class Outputs(NamedTuple):
    """Embeddings ``(n, 128)``, logits ``(n, 521)``, and two predictions of the teacher's pooled embedding."""

    embedding: torch.Tensor
    logits: torch.Tensor
    hint_from_bottleneck: torch.Tensor
    hint_from_pooled: torch.Tensor


class Student(nn.Module):
    """The student, from ``(n, 96, 64)`` log-mels to ``(n, 128)`` embeddings, with extra training layers."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        pooled = trunk.channels[-1]
        self.trunk = trunk
        self.bottleneck = nn.Linear(pooled, EMBEDDING_SIZE)
        self.classes = nn.Linear(EMBEDDING_SIZE, TEACHER_CLASSES)
        self.pair_classes = nn.Linear(EMBEDDING_SIZE, CLASSES)
        self.hint_from_bottleneck = nn.Linear(EMBEDDING_SIZE, HINT_SIZE)
        self.hint_from_pooled = nn.Linear(pooled, HINT_SIZE)
        for classes in (self.classes, self.pair_classes):
            nn.init.constant_(classes.bias, RARE_BIAS)

    def inherited_and_new(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters that were the teacher's, and those of the new layers."""
        inherited = [*self.trunk.parameters()]
        return inherited, [*self.parameters()][len(inherited) :]

    def pool(self, log_mels: torch.Tensor) -> torch.Tensor:
        """Average the last layer's channels for ``(n, 96, 64)`` log-mels as computed at inference."""
        return self.trunk(with_teacher_offset(log_mels)).mean((2, 3))

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map the result of `pool` to the bottleneck's non-negative embeddings, ``(n, 128)``."""
        return torch.relu(self.bottleneck(pooled))

    def forward(self, log_mels: torch.Tensor) -> Outputs:
        """Compute the outputs for ``(n, 96, 64)`` log-mels as computed at inference."""
        return self.outputs(self.pool(log_mels))

    def outputs(self, pooled: torch.Tensor) -> Outputs:
        """Compute the outputs from the result of `pool`."""
        embedding = self.embed(pooled)
        return Outputs(
            embedding,
            self.classes(embedding),
            self.hint_from_bottleneck(embedding),
            self.hint_from_pooled(pooled),
        )

    def pair_logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Compute the logits ``(n, 527)`` of pairs of patches from their ``(2, n, 128)`` embeddings."""
        return self.pair_classes(embeddings.mean(0))


def with_teacher_offset(log_mels: torch.Tensor) -> torch.Tensor:
    """Convert ``log(mel + 0.01)`` to the teacher's ``log(mel + 0.001)``; see `yamnet.teacher_log_mels`."""
    return torch.log((log_mels.exp() - LOG_OFFSET).clamp(min=0) + TEACHER_LOG_OFFSET)


class HintScale(nn.Module):
    """Standardise the square root of the teacher's pooled embedding, which is long-tailed."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.zeros(HINT_SIZE))
        self.register_buffer("deviation", torch.ones(HINT_SIZE))

    def fit(self, hints: torch.Tensor) -> None:
        """Fit mean and deviation to ``(n, 1024)`` hints."""
        roots = hints.sqrt()
        self.mean.copy_(roots.mean(0))
        self.deviation.copy_(roots.std(0).clamp(min=0.05))

    def forward(self, hints: torch.Tensor) -> torch.Tensor:
        """Scale ``(n, 1024)`` hints to values between -5 and 5."""
        return ((hints.sqrt() - self.mean) / self.deviation).clamp(-HINT_RANGE, HINT_RANGE)


def pair_loss(student: Student, embeddings: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Compute the loss of pairs of patches; zero if there are none.

    Parameters
    ----------
    student
        The student.
    embeddings
        The student's embeddings of the patches, ``(2 * pairs, 128)``: the first ones, then the second ones.
    logits
        The clip teacher's logits, ``(pairs, 527)``.
    """
    if not len(logits):
        return torch.zeros(())
    pairs = embeddings.view(2, len(logits), EMBEDDING_SIZE)
    divergence, weighted = score_loss(student.pair_logits(pairs), logits)
    return PAIR_LOSS * (divergence + LOGIT_LOSS * weighted)


def loss(outputs: Outputs, logits: torch.Tensor, hints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the loss and, as a part of it, the divergence of the scores from the teacher's.

    Parameters
    ----------
    outputs
        The student's outputs.
    logits
        The teacher's logits, ``(n, 521)``.
    hints
        The teacher's embeddings, scaled by `HintScale`, ``(n, 1024)``.
    """
    divergence, weighted = score_loss(outputs.logits, logits)
    hint = BOTTLENECK_HINT_LOSS * _hint_loss(outputs.hint_from_bottleneck, hints)
    hint = hint + POOLED_HINT_LOSS * _hint_loss(outputs.hint_from_pooled, hints)
    return divergence + LOGIT_LOSS * weighted + hint, divergence


def score_loss(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the divergence of the scores, summed over classes, and the weighted squared error of logits."""
    target = torch.sigmoid(teacher)
    entropy = functional.binary_cross_entropy_with_logits(teacher.clamp(-16, 16), target, reduction="sum")
    cross = functional.binary_cross_entropy_with_logits(student, target, reduction="sum")
    floored = teacher.clamp(min=LOGIT_FLOOR)
    both_low = (student < LOGIT_FLOOR) & (teacher < LOGIT_FLOOR)
    error = torch.where(both_low, floored, student) - floored
    weighted = (error.square() * (0.03 + target.sqrt())).sum()
    return (cross - entropy) / len(student), weighted / len(student)


def _hint_loss(predicted: torch.Tensor, hint: torch.Tensor) -> torch.Tensor:
    cosine_distance = 1 - functional.cosine_similarity(predicted, hint, dim=1).mean()
    return functional.mse_loss(predicted, hint) + cosine_distance
