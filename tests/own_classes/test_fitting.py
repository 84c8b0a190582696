from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from audio_classifier.own_classes.fitting import fit_head

pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    present = np.zeros((40, 4), bool)
    present[:20, 0] = present[10:30, 1] = present[:, 2] = True
    return (rng.uniform(-1, 1, (40, 256)) + present[:, :1] - present[:, 1:2]).astype(np.float32), present


def test_each_class_is_fitted_against_all_other_examples() -> None:
    features, present = examples()
    probabilities = fit_head(features, present).from_features(features)
    np.testing.assert_array_equal(probabilities[:, :2] > 0.5, present[:, :2])


def test_classes_of_all_examples_and_of_none_are_certain() -> None:
    features, present = examples()
    probabilities = fit_head(features, present).from_features(features)
    assert (probabilities[:, 2] > 0.999).all()
    assert (probabilities[:, 3] < 0.001).all()


def test_weights_do_not_depend_on_the_number_of_threads() -> None:
    code = (
        "from tests.own_classes.test_fitting import examples\n"
        "from audio_classifier.own_classes.fitting import fit_head\n"
        "print(fit_head(*examples()).dense.kernel.tobytes().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
            capture_output=True, text=True, check=True,
        ).stdout
        for threads in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1
