"""The multi-level attention head (Yu et al., arXiv:1803.02353) for training, convertible for inference."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from audio_classifier.constants import ATTENTION_EPSILON, CLASSES, EMBEDDING_SIZE
from audio_classifier.model.attention import AttentionHead, Dense, Level
from training.student.network import Student
from training.teacher.yamnet import known_classes

HIDDEN: Final = 384
HIDDEN_LAYERS: Final = 3
LEVEL_BLOCKS: Final = (1, 2)  # indices of the hidden layers that the levels read
DROPOUT: Final = 0.1

# A level's score of a patch, 0 to 1, initially represents a logit of -5.5 to 3.5, and the last layer maps the
# mean of both levels back to logits. The attention therefore averages logits.
SPAN: Final = 9.0
LOWEST: Final = -5.5
# The levels' own logits for these scores, as a line fitted at p = 0.1, 0.5 and 0.9.
LEVEL_SLOPE: Final = 0.53
LEVEL_OFFSET: Final = 0.5
RARE_BIAS: Final = -6.0
# Classes that the teacher does not know have a probability of 6e-6, so they are never predicted.
UNKNOWN_BIAS: Final = -12.0


class Head(nn.Module):
    """The head, from dequantised codes ``(n, patches, 128)`` to logits ``(n, 527)``.

    Initially the head computes the student's scores of each patch: the hidden layers pass on their input as
    ``relu(x)`` and ``relu(-x)``, and both levels' scores and attention are the student's classes. Because it
    does not begin with random weights, it needs neither batch normalisation nor labels of patches.

    Parameters
    ----------
    classes
        The student's classes for dequantised codes, ``(128, 527)``; see `student_classes`.
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
                _initialise(layer, torch.cat([given, -given]))
                given = torch.cat([torch.eye(EMBEDDING_SIZE), -torch.eye(EMBEDDING_SIZE)], 1)
            kernel, bias = torch.tensor(classes.kernel.T), torch.tensor(classes.bias)
            for attention, scores in zip(self.attention, self.scores, strict=True):
                _initialise(attention, kernel @ given)
                attention.bias.copy_(bias)
                _initialise(scores, LEVEL_SLOPE * kernel @ given)
                scores.bias.copy_(LEVEL_SLOPE * bias + LEVEL_OFFSET)
            self.output.weight.copy_(
                torch.eye(CLASSES).repeat(1, len(LEVEL_BLOCKS)) * SPAN / len(LEVEL_BLOCKS)
            )
            self.output.bias.fill_(LOWEST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits, ``(n, 527)``."""
        activations = []
        for layer in self.hidden:
            x = functional.dropout(torch.relu(layer(x)), DROPOUT, self.training)
            activations.append(x)
        levels = []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            weights = torch.softmax(attention(activations[block]), -1)
            weights = weights.clamp(ATTENTION_EPSILON, 1 - ATTENTION_EPSILON)
            weights = weights / weights.sum(1, keepdim=True)
            levels.append((torch.sigmoid(scores(activations[block])) * weights).sum(1))
        return self.output(torch.cat(levels, 1))

    def for_inference(self, known: NDArray[np.intp]) -> AttentionHead:
        """Convert the head for inference; it never predicts classes other than the known ones."""
        levels = []
        for block, scores, attention in zip(LEVEL_BLOCKS, self.scores, self.attention, strict=True):
            both = dense(scores), dense(attention)
            kernel = np.concatenate([dense.kernel for dense in both], axis=1)
            levels.append(Level(block, Dense(kernel, np.concatenate([dense.bias for dense in both]))))
        output = dense(self.output)
        unknown = np.setdiff1d(np.arange(CLASSES), known)
        output.kernel[:, unknown] = 0
        output.bias[unknown] = UNKNOWN_BIAS
        return AttentionHead(tuple(map(dense, self.hidden)), tuple(levels), output)


def _initialise(layer: nn.Linear, weight: torch.Tensor) -> None:
    """Set the first outputs of a layer to ``weight``, with zeros for further inputs and for their biases."""
    outputs, inputs = weight.shape
    layer.weight[:outputs] = 0
    layer.weight[:outputs, :inputs] = weight
    layer.bias[:outputs] = 0


def dense(layer: nn.Linear) -> Dense:
    """Convert a layer for inference."""
    kernel, bias = (array.detach().numpy().copy() for array in (layer.weight.T, layer.bias))
    return Dense(np.ascontiguousarray(kernel), bias)


def student_classes(student: Student, *, has_clip_teacher: bool) -> Dense:
    """Return the student's classes for embeddings, ``(128, 527)``.

    The classes that YAMNet does not know are those of pairs of patches; without a clip teacher they are rare.
    """
    patches, pairs = dense(student.classes), dense(student.pair_classes)
    kernel, bias = np.zeros_like(pairs.kernel), np.full_like(pairs.bias, RARE_BIAS)
    if has_clip_teacher:
        kernel, bias = pairs.kernel, pairs.bias
    kernel[:, known_classes()], bias[known_classes()] = patches.kernel, patches.bias
    return Dense(kernel, bias)


def loss(logits: torch.Tensor, targets: torch.Tensor, known: NDArray[np.intp]) -> torch.Tensor:
    """Compute the mean cross-entropy to the teachers, summed over the classes that they know.

    Parameters
    ----------
    logits
        ``(n, 527)``, the head's logits.
    targets
        ``(n, 527)``, the teachers' probabilities.
    known
        The classes that they know.
    """
    classes = torch.from_numpy(known)
    total = functional.binary_cross_entropy_with_logits(
        logits[:, classes], targets[:, classes], reduction="sum"
    )
    return total / len(targets)
