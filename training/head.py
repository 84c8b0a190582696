"""The multi-level attention head (Yu et al., arXiv:1803.02353) while it learns, and for the product."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audio_classifier.attention import AttentionHead, Dense, Level
from audio_classifier.params import ATTENTION_EPSILON, CLASSES, EMBEDDING_SIZE
from training.teacher import known_classes

HIDDEN: Final = 384
HIDDEN_LAYERS: Final = 3
LEVEL_BLOCKS: Final = (1, 2)  # the hidden layers that levels look at
DROPOUT: Final = 0.15

RARE_BIAS: Final = -6.0
# The last layer begins as the sum of what the levels say of a class itself: 0 -> 1 %, 1 -> 92 %.
IDENTITY: Final = 3.5
IDENTITY_BIAS: Final = -4.5
# What the teacher does not know, the head does not answer: a probability of 6e-6.
UNKNOWN_BIAS: Final = -12.0

PATCH_LOSS: Final = 0.5


class Outputs(NamedTuple):
    """Logits of sounds ``(n, 527)``, and of each level of all their patches ``(n, patches, 527)``."""

    logits: torch.Tensor
    levels: list[torch.Tensor]


class Head(nn.Module):
    """``(n, patches, 128)`` dequantised codes -> what is heard."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        sizes = [EMBEDDING_SIZE, *[hidden] * HIDDEN_LAYERS]
        self.hidden = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.05) for _ in self.hidden)
        self.scores = nn.ModuleList(nn.Linear(hidden, CLASSES) for _ in LEVEL_BLOCKS)
        self.attention = nn.ModuleList(nn.Linear(hidden, CLASSES) for _ in LEVEL_BLOCKS)
        self.output = nn.Linear(len(LEVEL_BLOCKS) * CLASSES, CLASSES)
        for scores in self.scores:
            nn.init.constant_(scores.bias, RARE_BIAS)
        nn.init.constant_(self.output.bias, IDENTITY_BIAS)
        with torch.no_grad():
            identity = torch.eye(CLASSES).repeat(1, len(LEVEL_BLOCKS))
            self.output.weight.mul_(0.1).add_(identity, alpha=IDENTITY)

    def forward(self, x: torch.Tensor) -> Outputs:
        """Logits; see `Outputs`."""
        activations = []
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = torch.relu(norm(layer(x).flatten(0, 1)).view(*x.shape[:2], -1))
            x = functional.dropout(x, DROPOUT, self.training)
            activations.append(x)
        levels, opinions = [], []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            levels.append(scores(activations[block]))
            weights = torch.softmax(attention(activations[block]), -1)
            weights = weights.clamp(ATTENTION_EPSILON, 1 - ATTENTION_EPSILON)
            weights = weights / weights.sum(1, keepdim=True)
            opinions.append((torch.sigmoid(levels[-1]) * weights).sum(1))
        return Outputs(self.output(torch.cat(opinions, 1)), levels)

    def folded(self) -> AttentionHead:
        """As the product computes it; classes that the teacher does not know are never answered."""
        hidden = [_folded(layer, norm) for layer, norm in zip(self.hidden, self.norms, strict=True)]
        levels = []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            both = _dense(scores), _dense(attention)
            kernel = np.concatenate([dense.kernel for dense in both], axis=1)
            levels.append(Level(block, Dense(kernel, np.concatenate([dense.bias for dense in both]))))
        output = _dense(self.output)
        unknown = np.setdiff1d(np.arange(CLASSES), known_classes())
        output.kernel[:, unknown] = 0
        output.bias[unknown] = UNKNOWN_BIAS
        return AttentionHead(tuple(hidden), tuple(levels), output)


def _folded(layer: nn.Linear, norm: nn.BatchNorm1d) -> Dense:
    """A layer with the BatchNorm behind it folded in."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    kernel = layer.weight.double() * scale[:, None]
    bias = (layer.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return Dense(*(np.ascontiguousarray(array.detach().float().numpy().T) for array in (kernel, bias)))


def _dense(layer: nn.Linear) -> Dense:
    kernel, bias = (array.detach().numpy().copy() for array in (layer.weight.T, layer.bias))
    return Dense(np.ascontiguousarray(kernel), bias)


def loss(outputs: Outputs, sounds: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the teacher, on whole sounds and, for both levels, on patches; summed over classes.

    Without the second part the head hardly learns: pooled opinions tell no patch what is heard in it.

    Parameters
    ----------
    sounds
        ``(n, 521)`` pooled probabilities of the teacher.
    patches
        ``(n, patches, 521)``, those of each patch.
    """
    known = torch.from_numpy(known_classes())
    total = _cross_entropy(outputs.logits[..., known], sounds)
    for level in outputs.levels:
        total = total + PATCH_LOSS * _cross_entropy(level[..., known], patches)
    return total


def _cross_entropy(logits: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    entropy = functional.binary_cross_entropy_with_logits(logits, probabilities, reduction="mean")
    return entropy * logits.shape[-1]
