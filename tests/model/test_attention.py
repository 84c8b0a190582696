from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.attention import AttentionHead, Dense, Level, sigmoid, softmax

CLASSES = 5


def random_dense(rng: np.random.Generator, inputs: int, outputs: int) -> Dense:
    kernel = rng.standard_normal((inputs, outputs)) / math.sqrt(inputs)
    return Dense(kernel.astype(np.float32), rng.standard_normal(outputs).astype(np.float32) * np.float32(0.3))


def random_head(
    widths: Sequence[int] = (16, 12, 8), blocks: Sequence[int] = (1, 2), *, output: bool = True
) -> AttentionHead:
    rng = np.random.default_rng(0)
    hidden = tuple(random_dense(rng, *pair) for pair in zip((128, *widths), widths, strict=False))
    levels = tuple(Level(block, random_dense(rng, widths[block], 2 * CLASSES)) for block in blocks)
    return AttentionHead(
        hidden, levels, random_dense(rng, len(blocks) * CLASSES, CLASSES) if output else None
    )


def slow_head(head: AttentionHead, patches: NDArray[Any]) -> list[float]:
    """Compute the classifier by its definition, number by number (arXiv:1803.02353, section 3)."""

    def dense(layer: Dense, x: Sequence[float]) -> list[float]:
        return [
            sum(value * float(layer.kernel[i, j]) for i, value in enumerate(x)) + float(layer.bias[j])
            for j in range(len(layer.bias))
        ]

    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    rows = [[float(value) for value in patch] for patch in patches]
    hidden = []
    for layer in head.hidden:
        rows = [[max(0.0, value) for value in dense(layer, row)] for row in rows]
        hidden.append(rows)
    pooled: list[float] = []
    for level in head.levels:
        outputs = [dense(level.dense, row) for row in hidden[level.block]]
        attention = []
        for row in outputs:
            exponentials = [math.exp(value) for value in row[CLASSES:]]
            attention.append([min(max(e / sum(exponentials), 1e-7), 1 - 1e-7) for e in exponentials])
        for k in range(CLASSES):
            total = sum(row[k] for row in attention)
            pooled.append(sum(logistic(o[k]) * a[k] / total for o, a in zip(outputs, attention, strict=True)))
    return pooled if head.output is None else [logistic(value) for value in dense(head.output, pooled)]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(random_head(), id="as published: three layers, levels on the last two"),
        pytest.param(random_head((8,), (0,), output=False), id="single attention"),
        pytest.param(random_head((16, 12, 8, 6), (0, 2, 3)), id="four layers, three levels"),
    ],
)
@pytest.mark.parametrize("patches", [1, 10])
def test_head_follows_the_definition(head: AttentionHead, patches: int) -> None:
    embeddings = np.random.default_rng(1).uniform(-1, 1, (patches, 128)).astype(np.float32)
    np.testing.assert_allclose(head(embeddings), slow_head(head, embeddings), atol=1e-5)


def test_clips_of_a_batch_are_independent() -> None:
    head = random_head()
    clips = np.random.default_rng(2).uniform(-1, 1, (3, 10, 128)).astype(np.float32)
    np.testing.assert_allclose(head(clips), [head(clip) for clip in clips], atol=1e-6)


def test_repeated_patches_give_equal_probabilities() -> None:
    head = random_head()
    clip = np.random.default_rng(3).uniform(-1, 1, (5, 128)).astype(np.float32)
    np.testing.assert_allclose(head(clip), head(np.tile(clip, (2, 1))), atol=1e-6)


def test_extreme_inputs_give_finite_probabilities() -> None:
    probabilities = random_head()(np.full((10, 128), 1e4, np.float32))
    assert np.isfinite(probabilities).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_folded_batch_norm_gives_equal_results() -> None:
    rng = np.random.default_rng(4)
    dense = random_dense(rng, 20, 7)
    gamma, beta, mean = rng.standard_normal((3, 7)).astype(np.float32)
    variance = rng.uniform(0.5, 2, 7).astype(np.float32)
    x = rng.standard_normal((6, 20)).astype(np.float32)
    expected = gamma * (dense(x) - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(dense.folded(gamma, beta, mean, variance, 1e-3)(x), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_head_is_restored_from_its_arrays(dtype: type[np.floating]) -> None:
    head = random_head()
    stored = {
        name: array.astype(dtype) if array.dtype == np.float32 else array
        for name, array in head.arrays().items()
    }
    embeddings = np.random.default_rng(5).uniform(-1, 1, (10, 128)).astype(np.float32)
    restored = AttentionHead.from_arrays(stored)(embeddings)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, head(embeddings), atol=0 if dtype is np.float32 else 2e-3)


@pytest.mark.parametrize(
    ("missing", "match"),
    [
        ("hidden_0/bias", "lacks the array hidden_0/bias"),
        ("hidden_0/kernel", "at least one hidden layer and one level, got 0 and 2"),
        ("level_1/block", "lacks the array level_1/block"),
        ("level_0/kernel", "at least one hidden layer and one level, got 3 and 0"),
        ("output/kernel", "no output layer that combines them"),
    ],
)
def test_missing_array_is_reported_by_name(missing: str, match: str) -> None:
    arrays = random_head().arrays()
    del arrays[missing]
    with pytest.raises(BundleInvalidError, match=match):
        AttentionHead.from_arrays(arrays)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"hidden": (random_dense(np.random.default_rng(), 127, 16),)}, "hidden_0"),
        ({"levels": (Level(3, random_dense(np.random.default_rng(), 8, 10)),)}, "refers to hidden layer 3"),
        ({"levels": (Level(2, random_dense(np.random.default_rng(), 8, 9)),)}, "level_0"),
        ({"output": random_dense(np.random.default_rng(), 9, 5)}, "output"),
    ],
)
def test_layer_of_mismatched_shape_is_reported_by_name(change: dict[str, Any], match: str) -> None:
    with pytest.raises(BundleInvalidError, match=match):
        replace(random_head(), **change)


def test_sigmoid_and_softmax_do_not_overflow() -> None:
    x = np.array([-1e4, 0, 1e4], np.float32)
    np.testing.assert_array_equal(sigmoid(x), [0, 0.5, 1])
    np.testing.assert_array_equal(softmax(x), [0, 0, 1])


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("hidden_0/bias", np.float32(1), "hidden_0: expected a kernel of two dimensions and a bias of one"),
        ("hidden_0/kernel", np.ones((2, 2, 2)), "hidden_0: expected a kernel of two dimensions"),
        ("level_0/block", np.array([1, 2]), "level_0/block must be a single integer"),
        ("level_0/block", np.array(1.5), "level_0/block must be a single integer"),
        ("level_0/block", np.array(-1), "refers to hidden layer -1"),
    ],
)
def test_array_of_wrong_shape_or_type_is_reported_by_name(name: str, value: NDArray[Any], match: str) -> None:
    with pytest.raises(BundleInvalidError, match=match):
        AttentionHead.from_arrays({**random_head().arrays(), name: np.asarray(value)})
