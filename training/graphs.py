"""The bundle's two ONNX graphs, built node by node from a trained model's weights.

torch's own exporter bakes in T and never emits peepholes, so the graphs are written here.
Must not know: bundles, files, parity.
"""

from __future__ import annotations

import onnx

from models.cells import CELLS
from training.arrays import array
from training.config import Storage
from training.layers import (
    LayerNames,
    add_decomposed_layer,
    add_native_layer,
    state_parts,
)
from training.model import LanguageModel
from training.onnx_writer import Dims, GraphWriter, float_info, integer_info

MERGED_K = 8
"""Suggestions that the merged graph offers: it has no second call to ask for another k."""


def is_native(model: LanguageModel) -> bool:
    """Whether ONNX has an operator for the model's layers."""
    return model.config.normalization != "layer"


def is_batch_invariant(model: LanguageModel) -> bool:
    """Whether `recurrent.onnx` answers bit for bit alike in any batch on onnxruntime's CPU.

    The kernel of RNN gives other last bits in other batches; those of LSTM and GRU, and the basic
    operators, do not.
    """
    return not is_native(model) or CELLS[model.config.cell].operator != "RNN"


def needs_decomposition(model: LanguageModel) -> bool:
    """Whether the bundle wants a second recurrent graph.

    It does where CUDA's kernels refuse the cell, or the CPU's gives other bits in other batches.
    """
    refused = not CELLS[model.config.cell].runs_on_cuda
    return is_native(model) and (refused or not is_batch_invariant(model))


def state_names(model: LanguageModel) -> list[str]:
    """The names of the state tensors, layer by layer: h_0, c_0, h_1 and so on."""
    return [
        f"{part}_{number}"
        for number, layer in enumerate(model.layers)
        for part in state_parts(layer)
    ]


def recurrent_graph(model: LanguageModel, storage: Storage, *, decomposed: bool = False) -> bytes:
    """`recurrent.onnx`: input_ids [B, T], lengths [B], state -> hidden [B, T, D], state out.

    A row's state goes out as it was after its own length; its hidden behind that is zero.
    `decomposed` spells the layers out in basic operators, as is done anyway where ONNX has none.
    """
    graph = GraphWriter(storage)
    last = _add_recurrent(graph, model, decomposed=decomposed)
    graph.node("Transpose", [last], ["hidden"], perm=[1, 0, 2])
    state_shape: Dims = [1, "B", model.config.hidden]
    outputs = [float_info("hidden", ["B", "T", model.config.hidden])]
    outputs += [float_info(f"{name}_out", state_shape) for name in state_names(model)]
    inputs = _token_infos() + [float_info(name, state_shape) for name in state_names(model)]
    return graph.finish("recurrent", inputs, outputs)


def head_graph(model: LanguageModel, storage: Storage) -> bytes:
    """`head.onnx`: hidden [N, D], k [1] -> log_probs [N, V], top_log_probs and top_ids [N, k]."""
    graph = GraphWriter(storage)
    _add_head(graph, model)
    inputs = [
        float_info("hidden", ["N", model.config.hidden]),
        integer_info("k", [1]),
    ]
    return graph.finish("head", inputs, _score_infos("N", model.config.vocabulary, "k"))


def merged_graph(model: LanguageModel, storage: Storage) -> bytes:
    """Both in one, `model.onnx`: input_ids [B, T], lengths [B], state [B, H] -> scores, state out.

    States are batch first, as other servers keep them, and k is `MERGED_K`. The last layer's h at
    a row's own length is that row's last hidden, so nothing needs to be gathered.
    """
    graph = GraphWriter(storage)
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
    inputs = _token_infos() + [float_info(name, state_shape) for name in names]
    outputs = _score_infos("B", model.config.vocabulary, MERGED_K)
    outputs += [float_info(f"{name}_out", state_shape) for name in names]
    return graph.finish("nextword", inputs, outputs)


def _add_recurrent(
    graph: GraphWriter, model: LanguageModel, suffix: str = "", *, decomposed: bool = False
) -> str:
    """Embedding and layers, states named with `suffix`; returns the last layer's [T, B, H]."""
    graph.matrix("embedding", array(model.embedding), rows=0)
    graph.node("Gather", ["embedding", "input_ids"], ["x_BTE"])
    graph.node("Transpose", ["x_BTE"], ["x_0"], perm=[1, 0, 2])
    add = add_decomposed_layer if decomposed or not is_native(model) else add_native_layer
    for number, layer in enumerate(model.layers):
        add(graph, LayerNames(number, suffix), layer)
    return f"x_{model.config.layers}"


def _add_head(graph: GraphWriter, model: LanguageModel) -> None:
    """From "hidden" and "k" to the log-probabilities and the top k of them."""
    features = "hidden"
    if model.projection is not None:
        graph.matrix("projection", array(model.projection.weight.t()), rows=1)
        graph.weights("projection_bias", array(model.projection.bias))
        graph.node("MatMul", ["hidden", "projection"], ["projected"])
        graph.node("Add", ["projected", "projection_bias"], ["features"])
        features = "features"
    _add_output(graph, model)
    graph.weights("output_bias", array(model.output_bias))
    graph.node("MatMul", [features, "output"], ["products"])
    graph.node("Add", ["products", "output_bias"], ["logits"])
    graph.node("LogSoftmax", ["logits"], ["log_probs"], axis=-1)
    graph.node("TopK", ["log_probs", "k"], ["top_log_probs", "top_ids"], axis=-1)


def _add_output(graph: GraphWriter, model: LanguageModel) -> None:
    """The output matrix, [D, V].

    Where the embedding is stored as bytes, a tied head takes just these, so that both graphs can
    share one file (`training.sharing`) and a merged one has them once.
    """
    if model.output is not None or graph.storage != "int8":
        graph.matrix("output", array(model.output_weight().t()), rows=1)
        return
    if not graph.makes("embedding"):
        graph.matrix("embedding", array(model.embedding), rows=0)
    graph.node("Transpose", ["embedding"], ["output"], perm=[1, 0])


def fold_normalization(model: LanguageModel) -> None:
    """Put batch normalisation into the weights, in place: it has no place in a graph."""
    for layer in model.layers:
        layer.fold()


def _token_infos() -> list[onnx.ValueInfoProto]:
    return [
        integer_info("input_ids", ["B", "T"]),
        integer_info("lengths", ["B"], bits=32),
    ]


def _score_infos(rows: str, vocabulary: int, k: int | str) -> list[onnx.ValueInfoProto]:
    return [
        float_info("log_probs", [rows, vocabulary]),
        float_info("top_log_probs", [rows, k]),
        integer_info("top_ids", [rows, k]),
    ]
