"""Write state dicts as PyTorch's ``torch.save`` does, opcode by opcode, and random networks."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_classifier.convert.mobilenet import network, tensor_shapes

STORAGES = {"f2": "Half", "f4": "Float", "f8": "Double", "i4": "Int", "i8": "Long"}
START, STOP = b"\x80\x02", b"."
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    if 0 <= value < 1 << 16:
        return b"M" + struct.pack("<H", value)
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def storage(key: str, count: int, kind: str = "Float") -> bytes:
    parts = text("storage"), name("torch", f"{kind}Storage"), text(key), text("cpu"), integer(count)
    return tuple_of(*parts) + b"Q"


def tensor(
    storage: bytes, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, offset: int = 0
) -> bytes:
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    numbers = (tuple_of(*map(integer, values)) for values in (shape, strides))
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    return rebuild + tuple_of(storage, integer(offset), *numbers, b"\x89", ORDERED_DICT) + b"R"


def state_pickle(items: Mapping[str, bytes], *, start: bytes = b"}", end: bytes = b"") -> bytes:
    """Pickle a dictionary of pickled values."""
    body = b"".join(text(key) + value for key, value in items.items())
    return START + start + b"(" + body + b"u" + end + STOP


def write_archive(path: Path, pickle: bytes, storages: Mapping[str, bytes], **extra: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        for member, data in {"version": b"3\n", **extra}.items():
            archive.writestr(f"archive/{member}", data)
    return path


def write_state(path: Path, state: Mapping[str, NDArray[Any]]) -> Path:
    """Write a state dict as ``torch.save(model.state_dict(), path)`` does."""
    items, storages = {}, {}
    for key, (label, array) in zip(map(str, range(len(state))), state.items(), strict=True):
        items[label] = tensor(storage(key, array.size, STORAGES[array.dtype.str[1:]]), array.shape)
        storages[key] = array.tobytes()
    return write_archive(path, state_pickle(items), storages)


def random_state(width: float, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return random weights of a network, which keep the scale of its signals."""
    rng = np.random.default_rng(seed)
    state: dict[str, NDArray[Any]] = {}
    for label, shape in tensor_shapes(network(width)):
        if label.endswith("running_var"):
            array = rng.uniform(0.5, 2, shape)
            state[label.replace("running_var", "num_batches_tracked")] = np.array(1, np.int64)
        elif label.endswith(".1.weight"):
            array = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            array = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            array = rng.standard_normal(shape) * 0.3
        state[label] = array.astype(np.float32)
    return state
