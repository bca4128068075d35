"""The exported graphs: native operators, the right shapes, and nothing that a runtime lacks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.unit.training.support import fresh_model
from training.config import CELLS, Storage
from training.graphs import head_graph, merged_graph, recurrent_graph, state_names
from training.model import LanguageModel

OPERATORS = {
    "rnn_tanh": "RNN",
    "rnn_relu": "RNN",
    "lstm": "LSTM",
    "peephole_lstm": "LSTM",
    "cifg_lstm": "LSTM",
    "cifg_peephole_lstm": "LSTM",
    "gru": "GRU",
    "gru_reset_before": "GRU",
}
NATIVE = set(OPERATORS.values())


def recurrent_nodes(content: bytes) -> list[onnx.NodeProto]:
    """The recurrent operators of a graph."""
    return [node for node in onnx.load_from_string(content).graph.node if node.op_type in NATIVE]


def shapes(values: list[onnx.ValueInfoProto]) -> dict[str, list[int | str]]:
    """Names and shapes of inputs or outputs."""
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values
    }


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    """A node's attributes as plain values."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_is_one_native_operator(cell: str, layers: int) -> None:
    """Each layer is one RNN, LSTM or GRU node, in the separate graph and in the merged one."""
    model = fresh_model(cell=cell, layers=layers)

    for build in (recurrent_graph, merged_graph):
        nodes = recurrent_nodes(build(model, "float32"))
        assert [OPERATORS[cell]] * layers == [node.op_type for node in nodes]
        assert [7] * layers == [attributes(node)["hidden_size"] for node in nodes]


def test_peepholes_are_the_eighth_input() -> None:
    """A peephole LSTM hands its peepholes to the operator as P, in the order i, o, f."""
    model = fresh_model(cell="peephole_lstm")
    content = recurrent_graph(model, "float32")
    weights = {w.name: w for w in onnx.load_from_string(content).graph.initializer}

    (node,) = recurrent_nodes(content)

    assert 8 == len(node.input)
    p_i, p_f, p_o = model.layers[0].peephole.detach().numpy()
    peepholes = numpy_helper.to_array(weights[node.input[7]])
    assert np.array_equal(np.concatenate([p_i, p_o, p_f])[None], peepholes)


def test_a_plain_lstm_has_no_peepholes() -> None:
    """Without peepholes the operator has its seven inputs only."""
    (node,) = recurrent_nodes(recurrent_graph(fresh_model(cell="lstm"), "float32"))

    assert 7 == len(node.input)


@pytest.mark.parametrize(
    ("cell", "attribute", "value"),
    [
        ("rnn_tanh", "activations", [b"Tanh"]),
        ("rnn_relu", "activations", [b"Relu"]),
        ("cifg_lstm", "input_forget", 1),
        ("cifg_peephole_lstm", "input_forget", 1),
        ("gru", "linear_before_reset", 1),
    ],
)
def test_an_operator_is_told_the_cells_kind(cell: str, attribute: str, value: object) -> None:
    """An RNN's activation, a coupled forget gate, the GRU's order of reset and product."""
    (node,) = recurrent_nodes(recurrent_graph(fresh_model(cell=cell), "float32"))

    assert value == attributes(node)[attribute]


def test_a_coupled_forget_gate_has_no_weights() -> None:
    """ONNX has a place for them and ignores it: zeros stand there, peepholes too."""
    content = recurrent_graph(fresh_model(cell="cifg_peephole_lstm"), "float32")
    weights = {w.name: w for w in onnx.load_from_string(content).graph.initializer}
    (node,) = recurrent_nodes(content)

    for name, size in zip((*node.input[1:4], node.input[7]), (4, 4, 8, 3), strict=True):
        i_o_f_g = np.split(numpy_helper.to_array(weights[name])[0], size)
        assert [False, False, True, False][:size] == [not part.any() for part in i_o_f_g][:4]


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_decomposed_layer_is_a_scan(cell: str, normalization: str) -> None:
    """Spelt out, each layer is one Scan of basic operators, and takes and gives the same."""
    model = fresh_model(cell=cell, layers=2, normalization=normalization)
    content = recurrent_graph(model, "float32", decomposed=True)
    fused = onnx.load_from_string(recurrent_graph(fresh_model(cell=cell, layers=2), "float32"))
    graph = onnx.load_from_string(content).graph

    scans = [node for node in graph.node if node.op_type == "Scan"]
    assert [] == recurrent_nodes(content)
    assert 2 == len(scans)
    assert shapes(fused.graph.input) == shapes(graph.input)
    assert shapes(fused.graph.output) == shapes(graph.output)
    inside = {node.op_type for scan in scans for node in attributes(scan)["body"].node}
    assert (normalization == "layer") == ("LayerNormalization" in inside)


def test_a_layer_normalised_model_is_always_decomposed() -> None:
    """No operator has its layers, so that there is one form only."""
    model = fresh_model(normalization="layer")

    assert recurrent_graph(model, "float32") == recurrent_graph(model, "float32", decomposed=True)


@pytest.mark.parametrize("cell", CELLS)
def test_states_are_named_layer_by_layer(cell: str) -> None:
    """h_0, c_0, h_1 and so on, with c for the LSTMs only."""
    parts = "hc" if "lstm" in cell else "h"

    expected = [f"{part}_{layer}" for layer in range(2) for part in parts]

    assert expected == state_names(fresh_model(cell=cell, layers=2))


@pytest.mark.parametrize("cell", CELLS)
def test_any_batch_and_any_length_fit(cell: str) -> None:
    """The recurrent graph takes ids [B, T] and states [1, B, H], B and T left open."""
    model = fresh_model(cell=cell, layers=2)
    graph = onnx.load_from_string(recurrent_graph(model, "float32")).graph
    states = {name: [1, "B", 7] for name in state_names(model)}

    assert {"input_ids": ["B", "T"], "lengths": ["B"], **states} == shapes(graph.input)
    outputs = {f"{name}_out": shape for name, shape in states.items()}
    assert {"hidden": ["B", "T", 7], **outputs} == shapes(graph.output)


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_takes_any_number_of_rows_and_any_k(tied) -> None:
    """The head graph takes hidden [N, D] and k, and scores all V tokens and the top k."""
    graph = onnx.load_from_string(head_graph(fresh_model(tied=tied), "float32")).graph

    assert {"hidden": ["N", 7], "k": [1]} == shapes(graph.input)
    scores = {"log_probs": ["N", 11], "top_log_probs": ["N", "k"], "top_ids": ["N", "k"]}
    assert scores == shapes(graph.output)


def decomposed_graph(model: LanguageModel, storage: Storage) -> bytes:
    """The recurrent graph in basic operators."""
    return recurrent_graph(model, storage, decomposed=True)


BUILDS = [recurrent_graph, decomposed_graph, head_graph, merged_graph]


@pytest.mark.parametrize("build", BUILDS)
def test_graphs_are_plain_onnx_of_the_agreed_version(build) -> None:
    """Opset 20 of ONNX's own operators, IR version 10, and nothing else."""
    model = onnx.load_from_string(build(fresh_model(), "float32"))

    assert 10 == model.ir_version
    assert [("", 20)] == [(opset.domain, opset.version) for opset in model.opset_import]
    assert {""} == {node.domain for node in model.graph.node}


@pytest.mark.parametrize("build", BUILDS)
def test_the_same_model_gives_the_same_bytes(build) -> None:
    """Graphs can be built again bit for bit, and other weights give other bytes."""
    content = build(fresh_model(), "float32")

    assert content == build(fresh_model(), "float32")
    assert content != build(fresh_model(seed=1), "float32")


@pytest.mark.parametrize("build", BUILDS)
def test_half_precision_halves_the_file(build) -> None:
    """Stored as float16, weights take half the room; all that is left of float32 are scalars."""
    model = fresh_model(embedding=40, hidden=50, vocabulary=300)

    whole, half = build(model, "float32"), build(model, "float16")

    assert len(half) < 0.55 * len(whole)
    weights = onnx.load_from_string(half).graph.initializer
    assert {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64} >= {
        w.data_type for w in weights if w.dims
    }
