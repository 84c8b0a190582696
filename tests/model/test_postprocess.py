from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.postprocess import Postprocessor, dequantize

IDENTITY = {"pca_eigen_vectors": np.eye(128, dtype=np.float32), "pca_means": np.ones((128, 1), np.float32)}


def test_codes_are_truncated_instead_of_rounded() -> None:
    postprocessor = Postprocessor.from_arrays(IDENTITY)
    embeddings = np.full(
        (1, 128), 1.0, np.float32
    )  # 0 after the mean is subtracted: (0 + 2) * 255 / 4 = 127.5
    assert (postprocessor.quantize(embeddings) == 127).all()


@pytest.mark.parametrize(
    ("value", "code"), [(-100, 0), (-2, 0), (-1.99, 0), (-1.98, 1), (1.999, 254), (2, 255), (100, 255)]
)
def test_values_beyond_two_are_clipped(value: float, code: int) -> None:
    embeddings = np.full((1, 128), 1.0 + value, np.float32)
    assert (Postprocessor.from_arrays(IDENTITY).quantize(embeddings) == code).all()


def test_principal_directions_are_rows() -> None:
    directions = np.roll(
        np.eye(128, dtype=np.float32), 1, axis=1
    )  # the first row points along the second axis
    postprocessor = Postprocessor.from_arrays({**IDENTITY, "pca_eigen_vectors": directions})
    embeddings = np.ones((1, 128), np.float32)
    embeddings[0, 1] = 3
    codes = postprocessor.quantize(embeddings)
    assert codes[0, 0] == 255
    assert (codes[0, 1:] == 127).all()


def test_codes_are_dequantized_to_numbers_around_zero() -> None:
    np.testing.assert_array_equal(
        dequantize(np.array([0, 128, 255], np.uint8)), np.array([-1, 0, 127 / 128], np.float32)
    )


def test_arrays_are_returned_as_published() -> None:
    arrays = Postprocessor.from_arrays(IDENTITY).arrays()
    assert arrays.keys() == IDENTITY.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, IDENTITY[name])


@pytest.mark.parametrize(
    "change",
    [{"pca_means": np.ones(127)}, {"pca_eigen_vectors": np.eye(127)}],
)
def test_array_of_another_shape_is_refused(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleInvalidError, match="127"):
        Postprocessor.from_arrays({**IDENTITY, **change})


def test_missing_array_is_reported_by_name() -> None:
    with pytest.raises(BundleInvalidError, match="pca_means"):
        Postprocessor.from_arrays({"pca_eigen_vectors": np.eye(128)})
