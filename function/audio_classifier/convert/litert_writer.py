"""Write LiteRT flatbuffers operator by operator, with the schema that comes with the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

ALIGNMENT: Final = 16  # of buffers, as the schema demands (force_align)
SCHEMA_VERSION: Final = 3
IDENTIFIER: Final = b"TFL3"
LAST_DEPRECATED_CODE: Final = 127
FREE: Final = -1  # a dimension that is set at run time

_TYPES: Final = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the generated classes have no types
    """A buffer whose data are aligned, which the generated code does not ensure."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802
        builder.Prep(ALIGNMENT, self.data.nbytes)
        return super().Pack(builder)


class GraphWriter:
    """A graph under construction: tensors, which are referred to by their index, and operators."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.name = "main"
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]  # of tensors without constant values
        self._codes: list[Any] = []

    def tensor(self, shape: Sequence[int], name: str) -> int:
        """Add a float32 tensor; dimensions that are `FREE` are set at run time."""
        tensor = schema.TensorT()
        tensor.shape = np.array([1 if size == FREE else size for size in shape], np.int32)
        tensor.shapeSignature = np.array(shape, np.int32)
        tensor.type, tensor.name = schema.TensorType.FLOAT32, name
        return self._add(tensor)

    def constant(self, values: NDArray[Any], name: str) -> int:
        """Add a constant of float32, float16 or int32."""
        tensor = schema.TensorT()
        tensor.shape = np.array(values.shape, np.int32)
        tensor.type, tensor.name = _TYPES[values.dtype], name
        tensor.buffer = len(self._buffers)
        buffer = _AlignedBuffer()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        return self._add(tensor)

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        name: str,
        options: Any = None,
        options_type: int = schema.BuiltinOptions.NONE,
        *,
        version: int = 1,
    ) -> int:
        """Add an operator, and return its output, which has this shape and name."""
        operator, output = schema.OperatorT(), self.tensor(shape, name)
        operator.opcodeIndex = self._code(code, version)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        operator.builtinOptions, operator.builtinOptionsType = options, options_type
        self._graph.operators.append(operator)
        return output

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor; free dimensions are `FREE`."""
        tensor = self._graph.tensors[index]
        shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        return tuple(map(int, shape))

    def finish(self, source: int, result: int) -> bytes:
        """Return the file, whose signature ``serving_default`` names input and output as the tensors."""
        self._graph.inputs, self._graph.outputs = np.array([source], np.int32), np.array([result], np.int32)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = SCHEMA_VERSION, [self._graph], self._buffers
        model.operatorCodes = self._codes
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs, signature.outputs = [self._named(source)], [self._named(result)]
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(sum(buffer.data.nbytes for buffer in self._buffers[1:]) + (1 << 16))
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _add(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _code(self, code: int, version: int) -> int:
        for index, known in enumerate(self._codes):
            if known.builtinCode == code:
                return index
        added = schema.OperatorCodeT()
        added.builtinCode, added.version = code, version
        added.deprecatedBuiltinCode = min(code, LAST_DEPRECATED_CODE)
        self._codes.append(added)
        return len(self._codes) - 1

    def _named(self, index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = self._graph.tensors[index].name, index
        return entry
