"""A small bundle made without torch. No tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.manifest import Architecture, Graphs, Manifest, Provenance, StateTensor
from models.text import Tokenizer

WORDS = [" hello", " world", " Hello", "."]
VOCABULARY, EMBEDDING, HIDDEN = len(WORDS) + 2, 2, 3


def manifest(**changes: Any) -> Manifest:
    """The manifest of the small model: a plain RNN of three units."""
    values: dict[str, Any] = {
        "name": "small",
        "version": 1,
        "architecture": architecture(),
        "features": HIDDEN,
        "state": (StateTensor(name="h_0", shape=(1, "B", HIDDEN)),),
        "batch_invariant": False,
        "precisions": {"float32": Graphs(recurrent="recurrent.onnx", head="head.onnx")},
        "provenance": Provenance(recipe="r", corpus="c", corpus_sha256="", steps=0),
    }
    return Manifest(**(values | changes))


def architecture(**changes: Any) -> Architecture:
    """The small model's shape."""
    values = {
        "cell": "rnn_tanh",
        "layers": 1,
        "hidden": HIDDEN,
        "embedding": EMBEDDING,
        "vocabulary": VOCABULARY,
        "tied": False,
    }
    return Architecture(**(values | changes))


def files(**changes: bytes) -> dict[str, bytes]:
    """The small bundle's files; a change is named by the file's stem."""
    contents = {
        "recurrent": recurrent_graph(),
        "head": head_graph(),
        "tokenizer": Tokenizer.from_tokens(WORDS, "natural").to_json().encode(),
        "README": b"# small\n",
    } | changes
    suffixes = {"tokenizer": ".json", "README": ".md"}
    return {stem + suffixes.get(stem, ".onnx"): text for stem, text in contents.items()}


def recurrent_graph(
    *, hidden: int = HIDDEN, nodes: Sequence[onnx.NodeProto] = (), spoil: Any = None
) -> bytes:
    """A recurrent graph of one RNN node; `nodes` come on top, `spoil` may change the model."""
    weights = {
        "embedding": np.ones((VOCABULARY, EMBEDDING), np.float32),
        "W": np.ones((1, hidden, EMBEDDING), np.float32),
        "R": np.ones((1, hidden, hidden), np.float32),
        "axis": np.array([1], np.int64),
    }
    chain = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["x_BTE"]),
        helper.make_node("Transpose", ["x_BTE"], ["x_TBE"], perm=[1, 0, 2]),
        helper.make_node(
            "RNN", ["x_TBE", "W", "R", "", "lengths", "h_0"], ["y", "h_0_out"], hidden_size=hidden
        ),
        helper.make_node("Squeeze", ["y", "axis"], ["y_TBH"]),
        helper.make_node("Transpose", ["y_TBH"], ["hidden"], perm=[1, 0, 2]),
    ]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "T"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
        _floats("h_0", [1, "B", hidden]),
    ]
    outputs = [_floats("hidden", ["B", "T", hidden]), _floats("h_0_out", [1, "B", hidden])]
    return _model([*chain, *nodes], inputs, outputs, weights, spoil)


def head_graph(
    *, vocabulary: int = VOCABULARY, k_type: int = TensorProto.INT64, spoil: Any = None
) -> bytes:
    """A head graph: one product, LogSoftmax, TopK; `spoil` may change the model."""
    chain = [
        helper.make_node("MatMul", ["hidden", "output"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"]),
        helper.make_node("Cast", ["k"], ["k64"], to=TensorProto.INT64),
        helper.make_node("TopK", ["log_probs", "k64"], ["top_log_probs", "top_ids"]),
    ]
    inputs = [_floats("hidden", ["N", HIDDEN]), helper.make_tensor_value_info("k", k_type, [1])]
    outputs = [
        _floats("log_probs", ["N", vocabulary]),
        _floats("top_log_probs", ["N", "k"]),
        helper.make_tensor_value_info("top_ids", TensorProto.INT64, ["N", "k"]),
    ]
    weights = {"output": np.ones((HIDDEN, vocabulary), np.float32)}
    return _model(chain, inputs, outputs, weights, spoil)


def _floats(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Any],
    spoil: Callable[[onnx.ModelProto], object] | None = None,
) -> bytes:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), initializers)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if spoil is not None:
        spoil(model)
    content: bytes = model.SerializeToString()
    return content
