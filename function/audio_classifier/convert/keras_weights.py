"""Read the arrays of a Keras 2 HDF5 file by layer: only numbers, and only from this file."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import ArtifactFormatError

Arrays = dict[str, NDArray[np.float32]]
"""The arrays of one layer, by name."""

MAX_ARRAY_VALUES: Final = 1 << 26


def read_weights(group: Any) -> dict[str, Arrays]:
    """Read the arrays of a group with ``layer_names``: by layer and name (``kernel``, ``bias``).

    Raises
    ------
    ArtifactFormatError
        If an array is stored in another file, is not finite, or has more than `MAX_ARRAY_VALUES` values.
    """
    weights: dict[str, Arrays] = {}
    own_file = group.file.filename
    for layer in (_text(name) for name in group.attrs["layer_names"]):
        names = [_text(name) for name in group[layer].attrs["weight_names"]]
        if names and any(group[layer][name].file.filename != own_file for name in names):
            refuse(layer, "stores its arrays in another file")
        if names:
            weights[layer] = {
                name.rsplit("/", 1)[-1].removesuffix(":0"): _read_array(layer, group[layer][name])
                for name in names
            }
    return weights


def _read_array(layer: str, dataset: Any) -> NDArray[np.float32]:
    if dataset.external or dataset.is_virtual:
        refuse(layer, "stores its arrays in another file")
    if dataset.size > MAX_ARRAY_VALUES or dataset.dtype.kind != "f":
        refuse(
            layer,
            f"must have at most {MAX_ARRAY_VALUES} floating-point values per array, "
            f"got {dataset.size} of type {dataset.dtype}",
        )
    array = np.asarray(dataset[()], np.float32)
    if not np.isfinite(array).all():
        refuse(layer, "contains numbers that are not finite")
    return array


def refuse(layer: str, reason: str) -> NoReturn:
    """Raise an `ArtifactFormatError` that names the layer."""
    raise ArtifactFormatError(
        f"the layer {layer!r} {reason}",
        hint="Only decision-level attention models (arXiv:1711.00927, arXiv:1803.02353) can be read.",
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
