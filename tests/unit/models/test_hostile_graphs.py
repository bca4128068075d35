"""Hostile bundles whose graphs are foreign, broken, or of another shape than the manifest says.

Their hashes all fit: only the graph is wrong.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from models.errors import GraphError
from tests.unit.models.support import head_graph, recurrent_graph
from tests.unit.models.vandals import Case, assert_refused, external, put, reseal

TRUTH = helper.make_node(
    "Constant", [], ["truth"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True])
)
WEIGHT = helper.make_node("Constant", [], ["weight"], value_floats=[1.0])
FOREIGN = helper.make_node("Frobnicate", ["hidden"], ["unused"], domain="com.example")
MISSPELT = helper.make_node("Frobnicate", ["hidden"], ["unused"])
STORED = helper.make_node("Constant", [], ["unused"], value=external("stored", "README.md"))


def branches(node: onnx.NodeProto, weights: list[TensorProto]) -> list[onnx.NodeProto]:
    """An If whose first branch holds `node`, which makes "z", and `weights`."""
    out = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])]
    other = helper.make_node("Identity", ["weight"], ["z"])
    then_branch = helper.make_graph([node], "a", [], out, weights)
    else_branch = helper.make_graph([other], "b", [], out)
    choice = helper.make_node(
        "If", ["truth"], ["unused"], then_branch=then_branch, else_branch=else_branch
    )
    return [TRUTH, WEIGHT, choice]


def store_outside(model: onnx.ModelProto) -> None:
    """Add a weight that lies in another file."""
    model.graph.initializer.append(external("w", "w.bin"))


def type_of_its_own(model: onnx.ModelProto) -> None:
    """Claim a type of numbers that ONNX does not have."""
    model.graph.initializer[0].data_type = 99


def fix_the_batch(model: onnx.ModelProto) -> None:
    """Allow one row only."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def name_a_later_opset(model: onnx.ModelProto) -> None:
    """Claim operators of a later time."""
    model.opset_import[0].version = 21


def name_a_later_format(model: onnx.ModelProto) -> None:
    """Claim a file format of a later time."""
    model.ir_version = 11


def add_output(model: onnx.ModelProto) -> None:
    """Give the hidden vectors out once more."""
    model.graph.node.append(helper.make_node("Identity", ["hidden"], ["twice"]))
    model.graph.output.append(model.graph.output[0])
    model.graph.output[-1].name = "twice"


def rename_output(model: onnx.ModelProto) -> None:
    """Give the state out a name of its own."""
    model.graph.node[2].output[1] = model.graph.output[1].name = "h_0_new"


FOREIGN_BRANCH = branches(helper.make_node("F", ["weight"], ["z"], domain="com.example"), [])
STORED_BRANCH = branches(helper.make_node("Identity", ["w"], ["z"]), [external("w", "README.md")])

CASES: dict[str, Case] = {
    "garbage": (reseal(head=b"not a graph"), GraphError, "head.onnx is not an ONNX file"),
    "empty": (reseal(head=b""), GraphError, "head.onnx is no valid ONNX model"),
    "a later opset": (
        reseal(recurrent=recurrent_graph(spoil=name_a_later_opset)),
        GraphError,
        "recurrent.onnx has opset 21, above 20",
    ),
    "a later format": (
        reseal(recurrent=recurrent_graph(spoil=name_a_later_format)),
        GraphError,
        "recurrent.onnx has IR version 11, above 10",
    ),
    "the graphs exchanged": (
        reseal(recurrent=head_graph()),
        GraphError,
        "recurrent.onnx has the inputs ['hidden', 'k']",
    ),
    "a state that the graph lacks": (
        put(state=[{"name": f"{part}_0", "shape": [1, "B", 3]} for part in "hc"]),
        GraphError,
        "recurrent.onnx has the inputs",
    ),
    "a state out that the graph lacks": (
        reseal(recurrent=recurrent_graph(spoil=rename_output)),
        GraphError,
        "recurrent.onnx has the outputs ['h_0_new', 'hidden']",
    ),
    "an output too many": (
        reseal(recurrent=recurrent_graph(spoil=add_output)),
        GraphError,
        "recurrent.onnx has the outputs ['h_0_out', 'hidden', 'twice']",
    ),
    "another hidden size": (
        reseal(recurrent=recurrent_graph(hidden=4)),
        GraphError,
        "recurrent.onnx: input h_0 has the shape (1, None, 4), not (1, None, 3)",
    ),
    "other features": (
        put(features=4),
        GraphError,
        "recurrent.onnx: output hidden has the shape (None, None, 3), not (None, None, 4)",
    ),
    "another vocabulary": (
        reseal(head=head_graph(vocabulary=7)),
        GraphError,
        "head.onnx: output log_probs has the shape (None, 7), not (None, 6)",
    ),
    "k of another type": (
        reseal(head=head_graph(k_type=TensorProto.INT32)),
        GraphError,
        "head.onnx: input k is not INT64",
    ),
    "one row only": (
        reseal(recurrent=recurrent_graph(spoil=fix_the_batch)),
        GraphError,
        "recurrent.onnx: input input_ids has the shape (1, None), not (None, None)",
    ),
    "a foreign operator": (
        reseal(recurrent=recurrent_graph(nodes=[FOREIGN])),
        GraphError,
        "recurrent.onnx uses the operator com.example.Frobnicate",
    ),
    "a foreign operator in a branch": (
        reseal(recurrent=recurrent_graph(nodes=FOREIGN_BRANCH)),
        GraphError,
        "recurrent.onnx uses the operator com.example.F",
    ),
    "an operator that ONNX does not have": (
        reseal(recurrent=recurrent_graph(nodes=[MISSPELT])),
        GraphError,
        "recurrent.onnx is no valid ONNX model",
    ),
    "a name that is no text": (
        reseal(recurrent=recurrent_graph().replace(b"Squeeze", b"Squ\xffeze")),
        GraphError,
        "recurrent.onnx is no valid ONNX model",
    ),
    "a weight of a type that there is not": (
        reseal(recurrent=recurrent_graph(spoil=type_of_its_own)),
        GraphError,
        "recurrent.onnx is no valid ONNX model",
    ),
    "a weight in another file": (
        reseal(recurrent=recurrent_graph(spoil=store_outside)),
        GraphError,
        "recurrent.onnx keeps w outside by ['location'], not by ['length', 'location', 'offset']",
    ),
    "a constant in another file": (
        reseal(recurrent=recurrent_graph(nodes=[STORED])),
        GraphError,
        "in another file",
    ),
    "a branch's weight in another file": (
        reseal(recurrent=recurrent_graph(nodes=STORED_BRANCH)),
        GraphError,
        "in another file",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_with_a_bad_graph_is_refused(
    saved: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault in a graph gets a GraphError that names the file and the fault."""
    monkeypatch.chdir(saved)  # where the other files that some of the graphs name do exist

    assert_refused(saved, CASES[case])


def test_a_foreign_operator_in_a_local_function_is_refused(saved: Path) -> None:
    """An operator cannot hide in a function that the graph brings along."""

    def spoil(model: onnx.ModelProto) -> None:
        hidden = helper.make_node("Frobnicate", ["a"], ["b"], domain="com.example")
        opsets = [helper.make_opsetid("com.example", 1)]
        model.functions.append(
            helper.make_function("ai.onnx", "Mine", ["a"], ["b"], [hidden], opsets)
        )

    graph = recurrent_graph(spoil=spoil)
    case = (reseal(recurrent=graph), GraphError, "uses the operator com.example.Frobnicate")

    assert_refused(saved, case)
