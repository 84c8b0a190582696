"""Fit a linear head by logistic regression, each class against all other examples."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import MissingExtraError
from audio_classifier.model.attention import Dense
from audio_classifier.model.linear_head import LinearHead

INVERSE_REGULARIZATION: Final = 10.0  # scikit-learn's C; from 1 to 10, the accuracy on ESC-10 is the same
TOLERANCE: Final = 1e-6
MAX_ITERATIONS: Final = 10_000
NEVER: Final = -20.0  # the logit of a class without examples


def require_scikit_learn() -> None:
    """Raise `MissingExtraError` if scikit-learn or threadpoolctl is not installed."""
    if find_spec("sklearn") is None or find_spec("threadpoolctl") is None:
        raise MissingExtraError("training", "train")


def fit_head(features: NDArray[np.float32], present: NDArray[np.bool_]) -> LinearHead:
    """Fit a class at a time; the same numbers give the same head.

    Parameters
    ----------
    features
        ``(examples, 256)``.
    present
        ``(examples, classes)``.  The probability of a class without examples is 0.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    require_scikit_learn()
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    kernel = np.zeros((features.shape[1], present.shape[1]), np.float32)
    bias = np.where(present.any(axis=0), -NEVER, NEVER).astype(np.float32)
    rows = features.astype(np.float64)
    # Several threads of BLAS would wait for each other most of the time, and add in varying order.
    with threadpool_limits(limits=1, user_api="blas"):
        for index in np.flatnonzero(present.any(axis=0) & ~present.all(axis=0)):
            model = LogisticRegression(C=INVERSE_REGULARIZATION, tol=TOLERANCE, max_iter=MAX_ITERATIONS)
            model.fit(rows, present[:, index])
            kernel[:, index], bias[index] = model.coef_[0], model.intercept_[0]
    return LinearHead(Dense(kernel, bias))
