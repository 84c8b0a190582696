"""The multi-level attention head (Yu et al., arXiv:1803.02353) while it learns, and for the product."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audio_classifier.constants import ATTENTION_EPSILON, CLASSES, EMBEDDING_SIZE
from audio_classifier.model.attention import AttentionHead, Dense, Level
from training.teacher.yamnet import known_classes

HIDDEN: Final = 384
HIDDEN_LAYERS: Final = 3
LEVEL_BLOCKS: Final = (1, 2)  # the hidden layers that levels look at
DROPOUT: Final = 0.1

# A level says of a patch how likely a class is on a scale of its own: 0 to 1 for logits of -5.5 to 3.5.  The
# last layer begins with the mean of both levels on this scale; so what attention averages are logits.
SPAN: Final = 9.0
LOWEST: Final = -5.5
# The logits of levels for that, as a line through those of p = 0.1, 0.5 and 0.9.
LEVEL_SLOPE: Final = 0.53
LEVEL_OFFSET: Final = 0.5
RARE_BIAS: Final = -6.0
# What the teacher does not know, the head does not answer: a probability of 6e-6.
UNKNOWN_BIAS: Final = -12.0


class Head(nn.Module):
    """``(n, patches, 128)`` dequantised codes -> what is heard.

    It begins with what the student says of each patch, not with random weights: hidden layers hand on what
    they are given, as ``relu(x)`` and ``relu(-x)``, both levels' scores are the student's classes, and so is
    what is paid attention to.  So it needs no BatchNorm, and no labels of patches.

    Parameters
    ----------
    classes
        The student's last layer, for dequantised codes: ``(128, 521)``; see `codes.of_codes`.
    """

    def __init__(self, classes: Dense) -> None:
        super().__init__()
        sizes = [EMBEDDING_SIZE, *[HIDDEN] * HIDDEN_LAYERS]
        self.hidden = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.scores = nn.ModuleList(nn.Linear(HIDDEN, CLASSES) for _ in LEVEL_BLOCKS)
        self.attention = nn.ModuleList(nn.Linear(HIDDEN, CLASSES) for _ in LEVEL_BLOCKS)
        self.output = nn.Linear(len(LEVEL_BLOCKS) * CLASSES, CLASSES)
        with torch.no_grad():
            given = torch.eye(EMBEDDING_SIZE)
            for layer in self.hidden:
                _begin(layer, torch.cat([given, -given]))
                given = torch.cat([torch.eye(EMBEDDING_SIZE), -torch.eye(EMBEDDING_SIZE)], 1)
            kernel = torch.zeros(CLASSES, EMBEDDING_SIZE)
            bias = torch.full((CLASSES,), RARE_BIAS)
            kernel[known_classes()], bias[known_classes()] = (
                torch.tensor(array) for array in (classes.kernel.T, classes.bias)
            )
            for attention, scores in zip(self.attention, self.scores, strict=True):
                _begin(attention, kernel @ given)
                attention.bias.copy_(bias)
                _begin(scores, LEVEL_SLOPE * kernel @ given)
                scores.bias.copy_(LEVEL_SLOPE * bias + LEVEL_OFFSET)
            self.output.weight.copy_(
                torch.eye(CLASSES).repeat(1, len(LEVEL_BLOCKS)) * SPAN / len(LEVEL_BLOCKS)
            )
            self.output.bias.fill_(LOWEST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of sounds, ``(n, 527)``."""
        activations = []
        for layer in self.hidden:
            x = functional.dropout(torch.relu(layer(x)), DROPOUT, self.training)
            activations.append(x)
        opinions = []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            weights = torch.softmax(attention(activations[block]), -1)
            weights = weights.clamp(ATTENTION_EPSILON, 1 - ATTENTION_EPSILON)
            weights = weights / weights.sum(1, keepdim=True)
            opinions.append((torch.sigmoid(scores(activations[block])) * weights).sum(1))
        return self.output(torch.cat(opinions, 1))

    def for_product(self) -> AttentionHead:
        """As the product computes it; classes that the teacher does not know are never answered."""
        levels = []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            both = dense(scores), dense(attention)
            kernel = np.concatenate([dense.kernel for dense in both], axis=1)
            levels.append(Level(block, Dense(kernel, np.concatenate([dense.bias for dense in both]))))
        output = dense(self.output)
        unknown = np.setdiff1d(np.arange(CLASSES), known_classes())
        output.kernel[:, unknown] = 0
        output.bias[unknown] = UNKNOWN_BIAS
        return AttentionHead(tuple(map(dense, self.hidden)), tuple(levels), output)


def _begin(layer: nn.Linear, weight: torch.Tensor) -> None:
    """Let a layer's first weights be those, and none be behind its first outputs but they."""
    outputs, inputs = weight.shape
    layer.weight[:outputs] = 0
    layer.weight[:outputs, :inputs] = weight
    layer.bias[:outputs] = 0


def dense(layer: nn.Linear) -> Dense:
    """A layer as the product has it."""
    kernel, bias = (array.detach().numpy().copy() for array in (layer.weight.T, layer.bias))
    return Dense(np.ascontiguousarray(kernel), bias)


def loss(logits: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the teacher, summed over the classes that it knows.

    Parameters
    ----------
    logits
        ``(n, 527)``.
    sounds
        ``(n, 521)`` pooled probabilities of the teacher.
    """
    known = torch.from_numpy(known_classes())
    each = functional.binary_cross_entropy_with_logits(logits[:, known], sounds, reduction="sum")
    return each / len(sounds)
