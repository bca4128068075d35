"""The bundle's two ONNX graphs, built node by node from a trained model's weights.

torch's own exporter bakes in T and never emits peepholes, so the graphs are written here with
`onnx.helper`: one fused `RNN`, `LSTM` or `GRU` node a layer, any B and T.
Must not know: bundles, files, parity.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.cells import Layer
from training.config import Cell
from training.model import LanguageModel

OPSET, IR_VERSION = 20, 10
PRODUCER = "nextword"
MERGED_K = 8
"""Suggestions that the merged graph offers: it has no second call to ask for another k."""

Dims = list[int | str]

Storage = Literal["float32", "float16"]
"""How weights lie in the file; they are calculated with in float32 either way."""

_OPERATOR: dict[Cell, str] = {
    "rnn_tanh": "RNN",
    "rnn_relu": "RNN",
    "lstm": "LSTM",
    "peephole_lstm": "LSTM",
    "gru": "GRU",
}
_ONNX_GATES: dict[str, str] = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
"""ONNX' gate order in torch's letters (ONNX writes c for torch's g, and h for its n)."""
_BATCH_INVARIANT = {"LSTM", "GRU"}
"""onnxruntime's RNN kernel gives other last bits in other batches; the gated ones do not."""


def is_batch_invariant(cell: Cell) -> bool:
    """Whether onnxruntime's CPU kernel for the cell answers bit for bit alike in any batch."""
    return _OPERATOR[cell] in _BATCH_INVARIANT


def state_names(model: LanguageModel) -> list[str]:
    """The names of the state tensors, layer by layer: h_0, c_0, h_1 and so on."""
    return [
        f"{part}_{number}"
        for number in range(model.config.layers)
        for part in ("h", "c")[: len(model.initial_state(1)[number])]
    ]


class _Graph:
    """Collects nodes and initializers of one graph."""

    def __init__(self, storage: Storage) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._storage = storage

    def node(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def integers(self, name: str, values: list[int]) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def weights(self, name: str, values: NDArray[np.float32]) -> str:
        """Add weights; half-precision ones get a Cast, which runtimes fold away at load."""
        if self._storage == "float32":
            self.initializers.append(numpy_helper.from_array(values, name))
            return name
        half = values.astype(np.float16)
        self.initializers.append(numpy_helper.from_array(half, f"{name}_f16"))
        self.node("Cast", [f"{name}_f16"], [name], to=TensorProto.FLOAT)
        return name

    def finish(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> bytes:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=PRODUCER,
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def recurrent_graph(model: LanguageModel, storage: Storage) -> bytes:
    """`recurrent.onnx`: input_ids [B, T], lengths [B], state -> hidden [B, T, D], state out.

    A row's state goes out as it was after its own length; its hidden behind that is zero.
    """
    graph = _Graph(storage)
    last = _add_recurrent(graph, model)
    graph.node("Transpose", [last], ["hidden"], perm=[1, 0, 2])
    state_shape: Dims = [1, "B", model.config.hidden]
    outputs = [_float_info("hidden", ["B", "T", model.config.hidden])]
    outputs += [_float_info(f"{name}_out", state_shape) for name in state_names(model)]
    inputs = _token_infos() + [_float_info(name, state_shape) for name in state_names(model)]
    return graph.finish("recurrent", inputs, outputs)


def head_graph(model: LanguageModel, storage: Storage) -> bytes:
    """`head.onnx`: hidden [N, D], k [1] -> log_probs [N, V], top_log_probs and top_ids [N, k]."""
    graph = _Graph(storage)
    _add_head(graph, model)
    inputs = [
        _float_info("hidden", ["N", model.config.hidden]),
        helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
    ]
    return graph.finish("head", inputs, _score_infos("N", model.config.vocabulary, "k"))


def merged_graph(model: LanguageModel, storage: Storage) -> bytes:
    """Both in one, `model.onnx`: input_ids [B, T], lengths [B], state [B, H] -> scores, state out.

    States are batch first, as other servers keep them, and k is `MERGED_K`. The last layer's h at
    a row's own length is that row's last hidden, so nothing needs to be gathered.
    """
    graph = _Graph(storage)
    names = state_names(model)
    graph.integers("state_axis", [0])
    for name in names:
        graph.node("Unsqueeze", [name, "state_axis"], [f"{name}_1BH"])
    _add_recurrent(graph, model, suffix="_1BH")
    for name in names:
        graph.node("Squeeze", [f"{name}_out_1BH", "state_axis"], [f"{name}_out"])
    graph.node("Identity", [f"h_{model.config.layers - 1}_out"], ["hidden"])
    graph.integers("k", [MERGED_K])
    _add_head(graph, model)
    state_shape: Dims = ["B", model.config.hidden]
    inputs = _token_infos() + [_float_info(name, state_shape) for name in names]
    outputs = _score_infos("B", model.config.vocabulary, MERGED_K)
    outputs += [_float_info(f"{name}_out", state_shape) for name in names]
    return graph.finish("nextword", inputs, outputs)


def _add_recurrent(graph: _Graph, model: LanguageModel, suffix: str = "") -> str:
    """Embedding and layers, states named with `suffix`; returns the last layer's [T, B, H]."""
    graph.weights("embedding", _array(model.embedding))
    graph.node("Gather", ["embedding", "input_ids"], ["x_BTE"])
    graph.node("Transpose", ["x_BTE"], ["x_0"], perm=[1, 0, 2])
    graph.integers("direction_axis", [1])
    for number, layer in enumerate(model.layers):
        assert isinstance(layer, Layer)
        _add_layer(graph, model.config.cell, number, layer, suffix)
    return f"x_{model.config.layers}"


def _add_layer(graph: _Graph, cell: Cell, number: int, layer: Layer, suffix: str) -> None:
    """One fused node: x_n [T, B, I] and the layer's state to x_n+1 [T, B, H] and state out."""
    operator = _OPERATOR[cell]
    order = [layer.gates.index(gate) for gate in _ONNX_GATES[operator]]
    w = graph.weights(f"W_{number}", _regated(layer.weight_ih, order)[None])
    r = graph.weights(f"R_{number}", _regated(layer.weight_hh, order)[None])
    biases = [_regated(layer.bias_ih, order), _regated(layer.bias_hh, order)]
    b = graph.weights(f"B_{number}", np.concatenate(biases)[None])
    inputs = [f"x_{number}", w, r, b, "lengths", f"h_{number}{suffix}"]
    outputs = [f"y_{number}", f"h_{number}_out{suffix}"]
    attributes: dict[str, Any] = {"hidden_size": layer.weight_hh.shape[1]}
    if operator == "LSTM":
        inputs.append(f"c_{number}{suffix}")
        outputs.append(f"c_{number}_out{suffix}")
    if cell == "peephole_lstm":
        p_i, p_f, p_o = _array(layer.peephole)  # type: ignore[arg-type]  # a Parameter
        inputs.append(graph.weights(f"P_{number}", np.concatenate([p_i, p_o, p_f])[None]))
    if operator == "GRU":
        attributes["linear_before_reset"] = 1
    if operator == "RNN":
        attributes["activations"] = ["Relu" if cell == "rnn_relu" else "Tanh"]
    graph.node(operator, inputs, outputs, **attributes)
    graph.node("Squeeze", [f"y_{number}", "direction_axis"], [f"x_{number + 1}"])


def _add_head(graph: _Graph, model: LanguageModel) -> None:
    """From "hidden" and "k" to the log-probabilities and the top k of them."""
    features = "hidden"
    if model.projection is not None:
        graph.weights("projection", _array(model.projection.weight.t()))
        graph.weights("projection_bias", _array(model.projection.bias))
        graph.node("MatMul", ["hidden", "projection"], ["projected"])
        graph.node("Add", ["projected", "projection_bias"], ["features"])
        features = "features"
    graph.weights("output", _array(model.output_weight().t()))
    graph.weights("output_bias", _array(model.output_bias))
    graph.node("MatMul", [features, "output"], ["products"])
    graph.node("Add", ["products", "output_bias"], ["logits"])
    graph.node("LogSoftmax", ["logits"], ["log_probs"], axis=-1)
    graph.node("TopK", ["log_probs", "k"], ["top_log_probs", "top_ids"], axis=-1)


def round_weights(model: LanguageModel, storage: Storage) -> None:
    """Round a model's weights in place to what the storage can hold."""
    if storage == "float16":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.half().float())


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)


def _regated(tensor: torch.Tensor, order: list[int]) -> NDArray[np.float32]:
    """Reorder the gates of weights or a bias whose first axis stacks them."""
    gates = np.split(_array(tensor), len(order))
    return np.concatenate([gates[index] for index in order])


def _float_info(name: str, shape: Dims) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _token_infos() -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "T"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
    ]


def _score_infos(rows: str, vocabulary: int, k: int | str) -> list[onnx.ValueInfoProto]:
    return [
        _float_info("log_probs", [rows, vocabulary]),
        _float_info("top_log_probs", [rows, k]),
        helper.make_tensor_value_info("top_ids", TensorProto.INT64, [rows, k]),
    ]
