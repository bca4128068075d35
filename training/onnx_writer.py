"""Writes ONNX graphs node by node: names, weights, values that calculate.

Must not know: cells, models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.config import Storage
from training.quantization import to_bytes

OPSET, IR_VERSION = 20, 10
PRODUCER = "nextword"

Dims = list[int | str]


class GraphWriter:
    """Collects the nodes and initializers of one graph."""

    def __init__(self, storage: Storage = "float32", prefix: str = "") -> None:
        """An empty graph; `prefix` keeps made-up names apart from those of the graph around it."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.storage = storage
        self._prefix = prefix
        self._count = 0

    def node(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """Add a node between named values."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def makes(self, name: str) -> bool:
        """Whether some node's output is called so."""
        return any(name in node.output for node in self.nodes)

    def value(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, whose name is made up and returned."""
        self._count += 1
        name = f"{self._prefix}{operator.lower()}_{self._count}"
        self.node(operator, list(inputs), [name], **attributes)
        return name

    def integers(self, name: str, values: list[int]) -> str:
        """Add an int64 constant [n]."""
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        """Add a float32 constant []."""
        self.initializers.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def weights(self, name: str, values: NDArray[np.float32]) -> str:
        """Add weights; half-precision ones get a Cast, which runtimes fold away at load."""
        if self.storage != "float16":
            return self._store(name, values)
        half = self._store(f"{name}_f16", values.astype(np.float16))
        self.node("Cast", [half], [name], to=TensorProto.FLOAT)
        return name

    def matrix(self, name: str, values: NDArray[np.float32], *, rows: int) -> str:
        """Add a matrix whose rows are numbered along the axis `rows`.

        Stored as bytes it gets a Cast and a Mul by each row's scale. Runtimes fold these away at
        load as well, which onnxruntime does not do with a DequantizeLinear.
        """
        if self.storage != "int8":
            return self.weights(name, values)
        first = np.moveaxis(values, rows, 0)
        rounded = to_bytes(first.reshape(len(first), -1))
        steps = np.moveaxis(rounded.steps.reshape(first.shape), 0, rows)
        scale = rounded.scale.reshape([-1 if axis == rows else 1 for axis in range(values.ndim)])
        factors = [self._store(f"{name}_i8", steps), self._store(f"{name}_scale", scale)]
        factors[0] = self.value("Cast", factors[0], to=TensorProto.FLOAT)
        self.node("Mul", factors, [name])
        return name

    def _store(self, name: str, values: NDArray[Any]) -> str:
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.initializers.append(tensor)
        return name

    def body(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """The graph as the body of a loop: its other names are those of the graph around it."""
        return helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)

    def finish(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> bytes:
        """The whole model, checked."""
        model = helper.make_model(
            self.body(name, inputs, outputs),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=PRODUCER,
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Value:
    """A named value of a graph that can be calculated with: each operation adds a node."""

    writer: GraphWriter
    name: str

    def __add__(self, other: Self) -> Self:
        """The sum."""
        return self.then("Add", other.name)

    def __sub__(self, other: Self) -> Self:
        """The difference."""
        return self.then("Sub", other.name)

    def __mul__(self, other: Self) -> Self:
        """The product, element by element."""
        return self.then("Mul", other.name)

    def then(self, operator: str, *others: str, **attributes: Any) -> Self:
        """The result of an operator whose first input this is."""
        name = self.writer.value(operator, self.name, *others, **attributes)
        return type(self)(self.writer, name)


class OnnxSquashing:
    """ONNX' functions, for the equations."""

    @staticmethod
    def sigmoid(a: Value) -> Value:
        """The operator Sigmoid."""
        return a.then("Sigmoid")

    @staticmethod
    def tanh(a: Value) -> Value:
        """The operator Tanh."""
        return a.then("Tanh")

    @staticmethod
    def relu(a: Value) -> Value:
        """The operator Relu."""
        return a.then("Relu")


def float_info(name: str, shape: Dims) -> onnx.ValueInfoProto:
    """A float32 input or output."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def integer_info(name: str, shape: Dims, bits: Literal[32, 64] = 64) -> onnx.ValueInfoProto:
    """An integer input or output."""
    kind = TensorProto.INT64 if bits == 64 else TensorProto.INT32
    return helper.make_tensor_value_info(name, kind, shape)
