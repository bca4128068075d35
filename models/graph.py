"""What a bundle's two ONNX graphs must look like, checked without running them.

Knows: the `onnx` file format. Must not know: onnxruntime, files on disk, manifests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from models.errors import GraphError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx"})
"""Operators come from ONNX itself, so that any runtime can run them."""

MAX_OPSET, MAX_IR_VERSION = 20, 10
"""What every onnxruntime that this project supports can run."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class GraphShape:
    """The numbers that both graphs must agree with: V, D, H and the names of the state."""

    vocabulary: int
    features: int
    hidden: int
    state: tuple[str, ...]


def check_recurrent(name: str, content: bytes, shape: GraphShape) -> None:
    """Raise GraphError unless this takes ids and state, and gives hidden and state."""
    graph = _parse(name, content)
    state: Shape = (1, None, shape.hidden)
    _expect(name, "input", graph.input, {
        "input_ids": (TensorProto.INT64, (None, None)),
        "lengths": (TensorProto.INT32, (None,)),
        **dict.fromkeys(shape.state, (TensorProto.FLOAT, state)),
    })  # fmt: skip
    _expect(name, "output", graph.output, {
        "hidden": (TensorProto.FLOAT, (None, None, shape.features)),
        **{f"{tensor}_out": (TensorProto.FLOAT, state) for tensor in shape.state},
    })  # fmt: skip


def check_head(name: str, content: bytes, shape: GraphShape) -> None:
    """Raise GraphError unless this takes hidden and gives log-probabilities and the top k."""
    graph = _parse(name, content)
    _expect(name, "input", graph.input, {
        "hidden": (TensorProto.FLOAT, (None, shape.features)),
        "k": (TensorProto.INT64, (1,)),
    })  # fmt: skip
    _expect(name, "output", graph.output, {
        "log_probs": (TensorProto.FLOAT, (None, shape.vocabulary)),
        "top_log_probs": (TensorProto.FLOAT, (None, None)),
        "top_ids": (TensorProto.INT64, (None, None)),
    })  # fmt: skip


def _parse(name: str, content: bytes) -> onnx.GraphProto:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise GraphError(f"{name} is not an ONNX file") from error
    if model.ir_version > MAX_IR_VERSION:
        raise GraphError(f"{name} has IR version {model.ir_version}, above {MAX_IR_VERSION}")
    for opset in model.opset_import:
        if opset.domain in ALLOWED_DOMAINS and opset.version > MAX_OPSET:
            raise GraphError(f"{name} has opset {opset.version}, above {MAX_OPSET}")
    for node in _nodes(model):
        if node.domain not in ALLOWED_DOMAINS:
            raise GraphError(f"{name} uses the operator {node.domain}.{node.op_type}")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise GraphError(f"{name} keeps {tensor.name} in another file")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,  # names that are not UTF-8, types that there are not
    ) as error:
        raise GraphError(f"{name} is no valid ONNX model: {error}") from error
    return model.graph


def _nodes(model: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    """All nodes, those inside control flow and local functions included."""
    pending = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while pending:
        node = pending.pop()
        yield node
        for attribute in node.attribute:
            pending += attribute.g.node
            for graph in attribute.graphs:
                pending += graph.node


def _tensors(model: onnx.ModelProto) -> Iterable[onnx.TensorProto]:
    """All weights and constants, those inside control flow and local functions included."""
    graphs, sparse = [model.graph], []
    for node in _nodes(model):
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            graphs += [attribute.g, *attribute.graphs]
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for graph in graphs:
        yield from graph.initializer
        sparse += graph.sparse_initializer
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _expect(
    name: str,
    kind: str,
    values: Iterable[onnx.ValueInfoProto],
    expected: dict[str, tuple[Any, Shape]],
) -> None:
    found = {value.name: value.type.tensor_type for value in values}
    if set(found) != set(expected):
        raise GraphError(f"{name} has the {kind}s {sorted(found)}, not {sorted(expected)}")
    for tensor, (element_type, shape) in expected.items():
        if found[tensor].elem_type != element_type:
            wanted = TensorProto.DataType.Name(element_type)
            raise GraphError(f"{name}: {kind} {tensor} is not {wanted}")
        actual: Shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in found[tensor].shape.dim
        )
        if actual != shape:
            raise GraphError(f"{name}: {kind} {tensor} has the shape {actual}, not {shape}")
