from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.convert.torch_file import MAX_DIRECTORY_BYTES, MAX_PICKLE_BYTES, read_state_dict
from audio_classifier.errors import ArtifactFormatError
from tests.support.torch_files import (
    ORDERED_DICT,
    START,
    STOP,
    integer,
    name,
    state_pickle,
    storage,
    tensor,
    text,
    tuple_of,
    write_archive,
    write_state,
)

MAX_BYTES = 100_000
NUMBERS = np.arange(12, dtype=np.float32)


def read(path: Path) -> dict[str, Any]:
    return read_state_dict(path, max_bytes=MAX_BYTES)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a pickle with one storage of twelve numbers."""

    def write(pickled: bytes, **extra: bytes) -> Path:
        return write_archive(tmp_path / "weights.pt", pickled, {"0": NUMBERS.tobytes()}, **extra)

    return write


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_tensors_are_read_as_written(tmp_path: Path, dtype: str) -> None:
    state = {"a.weight": NUMBERS.reshape(3, 4).astype(dtype), "b.count": np.array(7, dtype)}
    actual = read(write_state(tmp_path / "weights.pt", state))
    assert actual.keys() == state.keys()
    for key, expected in state.items():
        assert actual[key].dtype == expected.dtype
        np.testing.assert_array_equal(actual[key], expected)


def test_tensors_can_share_a_storage_and_have_strides(write: Callable[..., Path]) -> None:
    shared = storage("0", 12)
    items = {"a": tensor(shared, (4,), offset=8), "b": tensor(shared, (4, 3), (1, 4))}
    actual = read(write(state_pickle(items)))
    np.testing.assert_array_equal(actual["a"], NUMBERS[8:])
    np.testing.assert_array_equal(actual["b"], NUMBERS.reshape(3, 4).T)


def test_ordered_dictionary_with_metadata_is_read(write: Callable[..., Path]) -> None:
    metadata = b"}" + text("_metadata") + ORDERED_DICT + b"s" + b"b"
    pickled = state_pickle({"a": tensor(storage("0", 12), (12,))}, start=ORDERED_DICT, end=metadata)
    np.testing.assert_array_equal(read(write(pickled, byteorder=b"little"))["a"], NUMBERS)


def test_nothing_in_the_pickle_is_executed(write: Callable[..., Path], tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(ArtifactFormatError, match=r"weights\.pt: .*(nothing was executed|damaged)"):
            read(write(pickle.dumps({"a": Hostile()}, protocol)))
    assert not (tmp_path / "executed").exists()


VALID = storage("0", 12)
NESTED = b")" + b"q\x00\x85h\x00\x86q\x00" * 60  # hashing it would take 2^60 steps


@pytest.mark.parametrize(
    ("pickled", "match"),
    [
        (b"", "pickle is damaged"),
        (START, "pickle is damaged"),
        (START + STOP, "pickle is damaged"),
        (b"\xff" * 100, "pickle is damaged"),
        (state_pickle({"a": tensor(VALID, (12,))})[:-9], "pickle is damaged"),
        (START + b"h\x00" + STOP, "pickle is damaged"),
        (START + b"}t" + STOP, "pickle is damaged"),
        (START + b"}}s" + STOP, "pickle is damaged"),
        (START + b"r\xff\xff\xff\x7f" + STOP, "pickle is damaged"),
        (START + b"\x8e" + b"\xff" * 7 + b"\x7f", "pickle is damaged"),
        (START + b"I" + b"9" * 10_000 + b"\n" + STOP, "pickle is damaged"),
        (
            START + name("os", "system") + text("true") + b"\x85R" + STOP,
            r"'os\.system'; nothing was executed",
        ),
        (START + name("torch.nn", "Linear") + STOP, r"'torch\.nn\.Linear'"),
        (START + text("builtins") + text("eval") + b"\x93" + STOP, "opcode STACK_GLOBAL"),
        (START + name("torch", "FloatStorage") + b")R" + STOP, "calls something other"),
        (START + ORDERED_DICT[:-2] + tuple_of(text("a")) + b"R" + STOP, "calls something other"),
        (START + text("a") + b")R" + STOP, "must have a Name"),
        (START + text("a") + b"Q" + STOP, "must have a tuple"),
        (START + tuple_of(*[text("module")] * 5) + b"Q" + STOP, "something other than a storage"),
        (START + b"}" + NESTED + b"Ns" + STOP, "must have a str"),
        (START + b")" + b"\x85" * 90_000 + STOP, "expected a state dict, got tuple"),
        (START + b"}" + STOP, "expected a state dict"),
        (START + integer(3) + STOP, "expected a state dict, got int"),
        (state_pickle({"model": b"}"}), "'model' must be a tensor, got dict"),
        (state_pickle({"a": tensor(VALID, (13,))}), "must lie within the 12 numbers"),
        (state_pickle({"a": tensor(VALID, (12,), offset=1)}), "must lie within the 12 numbers"),
        (state_pickle({"a": tensor(VALID, (2, 2), (12, 1))}), "must lie within the 12 numbers"),
        (state_pickle({"a": tensor(VALID, (1 << 39,) * 8, (0,) * 8)}), "must lie within the 12 numbers"),
        (state_pickle({"a": tensor(VALID, (0,))}), "must lie within the 12 numbers"),
        (state_pickle({"a": tensor(VALID, (2,), (-1,), 4)}), "must be integers from 0"),
        (state_pickle({"a": tensor(VALID, (1 << 40,))}), "must be integers from 0"),
        (state_pickle({"a": tensor(VALID, (2,), (1, 1))}), "each with a stride"),
        (state_pickle({"a": tensor(VALID, (1,) * 9)}), "at most 8 dimensions"),
        (state_pickle({"a": tensor(storage("0", 13), (12,))}), "'0' must have 52 bytes, got 48"),
        (state_pickle({"a": tensor(storage("0", 12, "Double"), (12,))}), "'0' must have 96 bytes, got 48"),
        (state_pickle({"a": tensor(storage("../version", 12), (12,))}), "must have 48 bytes, got none"),
        (state_pickle({"a": tensor(storage("0" * 61, 12), (12,))}), "must have at most 60 characters"),
        (state_pickle({"a": tensor(storage("0", 12, "Untyped"), (12,))}), r"'torch\.UntypedStorage'"),
    ],
)
def test_pickle_of_anything_else_is_refused(write: Callable[..., Path], pickled: bytes, match: str) -> None:
    with pytest.raises(ArtifactFormatError, match=rf"^weights\.pt: .*{match}") as caught:
        read(write(pickled))
    assert caught.value.hint


def test_pickle_that_is_too_long_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(ArtifactFormatError, match=r"data\.pkl must have at most"):
        read_state_dict(write(bytes(MAX_PICKLE_BYTES + 1)), max_bytes=1 << 30)


def test_contents_that_are_too_long_are_refused(write: Callable[..., Path]) -> None:
    path = write(state_pickle({"a": tensor(VALID, (12,))}), other=bytes(MAX_BYTES))
    with pytest.raises(ArtifactFormatError, match=f"contents must have at most {MAX_BYTES} bytes, got"):
        read(path)


def test_big_endian_numbers_are_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(ArtifactFormatError, match="little-endian"):
        read(write(state_pickle({"a": tensor(VALID, (12,))}), byteorder=b"big"))


def test_compressed_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    with pytest.raises(ArtifactFormatError, match="must not be compressed"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("names", [[], ["data.pkl"], ["a/data.pkl", "b/data.pkl"], ["a/b/data.pkl"]])
def test_archive_without_exactly_one_pickle_is_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for member in names:
            archive.writestr(member, b"")
    with pytest.raises(ArtifactFormatError, match=r"one folder with data\.pkl"):
        read(tmp_path / "a.pt")


def test_directory_of_many_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}" + "a" * (MAX_DIRECTORY_BYTES // 90), b"")
    with pytest.raises(ArtifactFormatError, match="zip directory must have at most"):
        read(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", bytes(200), pickle.dumps(OrderedDict(a=1), 2), b"PK\5\6" + b"\xff" * 18]
)
def test_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactFormatError, match=r"^a\.pt: .*zip archive") as caught:
        read(path)
    assert "torch.save" in caught.value.hint


def test_damaged_files_raise_no_other_exception(write: Callable[..., Path]) -> None:
    path = write(state_pickle({"a": tensor(VALID, (3, 4)), "b": tensor(VALID, (2,))}))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        for position in rng.integers(len(damaged), size=rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(damaged)) if rng.random() < 0.2 else None])
        try:
            state = read(path)
        except ArtifactFormatError:
            continue
        assert all(np.asarray(array).size <= 12 for array in state.values())
