"""LiteRT's interpreter, and the kernels with which it computes a network."""

from __future__ import annotations

import timeit
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from audio_classifier import AudioClassifier
from audio_classifier.model import litert

OTHER_KERNELS = (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF)


def test_no_warning_is_logged_when_xnnpack_computes_the_network(
    compact: Path, clip_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for bundle in (compact, clip_bundle):
        AudioClassifier.open(bundle)
    assert caplog.messages == []


@pytest.mark.parametrize("kernels", OTHER_KERNELS)
def test_one_warning_is_logged_when_other_kernels_compute_the_network(
    kernels: OpResolverType, compact: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = partial(Interpreter, experimental_op_resolver_type=kernels)
    monkeypatch.setattr(litert, "Interpreter", other)
    classifier = AudioClassifier.open(compact)
    for seconds in (1, 10, 5):  # other shapes are prepared again
        classifier.codes(np.zeros(seconds * 16_000))
    (message,) = caplog.messages
    assert "computes embedding.tflite without XNNPACK" in message


def test_kernels_are_found_in_a_fraction_of_a_millisecond(compact: Path) -> None:
    model = litert.LiteRtModel(
        compact / "embedding.tflite", [(-1, 96, 64), (-1, 128)], (10, 96, 64), threads=1
    )
    assert min(timeit.repeat(model._uses_xnnpack, number=1)) < 0.0005
