"""Interpret the pickle of a PyTorch state dict as data: no import, no call, no class of the file."""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.errors import ArtifactFormatError

DICT: Final = "collections OrderedDict"
REBUILD: Final = "torch._utils _rebuild_tensor_v2"
STORAGES: Final[Mapping[str, np.dtype[Any]]] = MappingProxyType(
    {
        "torch DoubleStorage": np.dtype("<f8"),
        "torch FloatStorage": np.dtype("<f4"),
        "torch HalfStorage": np.dtype("<f2"),
        "torch IntStorage": np.dtype("<i4"),
        "torch LongStorage": np.dtype("<i8"),
    }
)
# Opcodes that push a constant, that push their argument, and that build a tuple of so many values.
CONSTANTS: Final[Mapping[str, Any]] = MappingProxyType(
    {"EMPTY_TUPLE": (), "NEWTRUE": True, "NEWFALSE": False, "NONE": None}
)
ARGUMENTS: Final = frozenset({"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"})
TUPLES: Final[Mapping[str, int]] = MappingProxyType({"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3})
MAX_DIMENSIONS: Final = 8
MAX_KEY: Final = 60  # characters of a storage's name, which is a number
MAX_SHOWN: Final = 60  # characters of a name in a message


@dataclass(frozen=True, slots=True)
class Storage:
    """The numbers of tensors: the name of the archive's member, the data type and the count."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor as a view of a storage; offset and strides are counted in numbers, not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return the view of the storage's numbers, ``(count,)``, without a copy."""
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)


@dataclass(frozen=True, slots=True)
class _Name:
    """One of the accepted global names; it stands for itself and is never imported."""

    name: str


def parse_state_dict(data: bytes) -> dict[str, TensorView]:
    """Read the tensors' names and views from ``data.pkl`` in time and memory linear in its length.

    `pickle.Unpickler` with a limited ``find_class`` accepts more: a file could make it allocate gigabytes, or
    hash a nested key for hours.  This interpreter has only the opcodes of state dicts.

    Raises
    ------
    ArtifactFormatError
        If it contains anything other than a dictionary of dense tensors by name.
    """
    try:
        state = _Interpreter().run(data)
    except (IndexError, KeyError, ValueError) as error:  # of the stack, the memo and pickletools
        raise ArtifactFormatError(f"its pickle is damaged: {str(error)[:MAX_SHOWN]}") from error
    if not isinstance(state, dict) or not state:
        raise ArtifactFormatError(
            f"expected a state dict, got {type(state).__name__}",
            hint="Save it again with torch.save(model.state_dict(), path).",
        )
    for name, value in state.items():
        if not isinstance(value, TensorView):
            raise ArtifactFormatError(
                f"{name[:MAX_SHOWN]!r} must be a tensor, got {type(value).__name__}",
                hint="Save only the weights: torch.save(model.state_dict(), path).",
            )
    return state


class _Interpreter:
    """The stack machine of pickles, protocol 2, for state dicts."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("no STOP")

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self._stack
        if opcode == "PROTO":
            return
        if opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode])
        elif opcode in ARGUMENTS:
            stack.append(argument)
        elif opcode == "EMPTY_DICT":
            stack.append({})
        elif opcode == "MARK":
            self._marks.append(len(stack))
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif opcode == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif opcode in TUPLES:
            stack.append(tuple(self._pop(TUPLES[opcode])))
        elif opcode == "GLOBAL":
            stack.append(_name(argument))
        elif opcode == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif opcode == "REDUCE":
            stack.append(_reduce(*self._pop(2)))
        elif opcode == "SETITEM":
            self._set_items(self._pop(2))
        elif opcode == "SETITEMS":
            self._set_items(self._pop_to_mark())
        elif opcode == "BUILD":  # the attribute _metadata of a state dict, which is not needed
            stack.pop()
            _expect(stack[-1], dict)
        else:
            raise ArtifactFormatError(
                f"a state dict does not contain the opcode {opcode}; nothing was executed"
            )

    def _pop(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise IndexError("the stack is empty")
        start = len(self._stack) - count
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        return self._pop(len(self._stack) - self._marks.pop())

    def _set_items(self, items: list[Any]) -> None:
        target = _expect(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_expect(key, str)] = value


def _name(name: str) -> _Name:
    if name not in (DICT, REBUILD, *STORAGES):
        shown = name[:MAX_SHOWN].replace(" ", ".")
        raise ArtifactFormatError(
            f"a state dict does not contain {shown!r}; nothing was executed",
            hint="Save only the weights: torch.save(model.state_dict(), path).",
        )
    return _Name(name)


def _storage(reference: Any) -> Storage:
    """Parse the persistent id of a storage: kind, type, key, device and count."""
    kind, storage, key, _, count = _expect(reference, tuple)
    if kind != "storage" or not isinstance(storage, _Name) or storage.name not in STORAGES:
        raise ArtifactFormatError("its pickle refers to something other than a storage")
    if len(_expect(key, str)) > MAX_KEY:
        raise ArtifactFormatError(f"the name of a storage must have at most {MAX_KEY} characters")
    return Storage(key, STORAGES[storage.name], _count(count))


def _reduce(function: Any, arguments: Any) -> Any:
    """Build what the two accepted functions would build."""
    name = _expect(function, _Name).name
    if name == DICT and arguments == ():
        return {}
    if name != REBUILD:
        raise ArtifactFormatError("its pickle calls something other than a tensor's constructor")
    storage, offset, shape, strides = _expect(arguments, tuple)[:4]  # the others concern gradients
    return _view(
        _expect(storage, Storage),
        _count(offset),
        tuple(map(_count, _expect(shape, tuple))),
        tuple(map(_count, _expect(strides, tuple))),
    )


def _view(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> TensorView:
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise ArtifactFormatError(
            f"a tensor must have at most {MAX_DIMENSIONS} dimensions, each with a stride"
        )
    size = 1
    for length in shape:
        size *= length
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if not 0 < size <= storage.count or last >= storage.count:
        raise ArtifactFormatError(
            f"a tensor must lie within the {storage.count} numbers of its storage, "
            f"got shape {shape}, strides {strides}, offset {offset}"
        )
    return TensorView(storage, offset, shape, strides)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise ArtifactFormatError("sizes, strides and offsets must be integers from 0 to 2^40")
    return value


def _expect(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        expected = kind.__name__.lstrip("_")
        raise ArtifactFormatError(f"its pickle must have a {expected} here, got {type(value).__name__}")
    return value
