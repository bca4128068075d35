"""Triton's `config.pbtxt`: it names the merged graph's tensors, all of them and no others."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime as ort
import pytest

from models import bundle
from tests.unit.training.exporting import WORDS, manifest
from tests.unit.training.support import fresh_model
from training.export import Packing, write_bundle

TYPES = {"tensor(int64)": "TYPE_INT64", "tensor(int32)": "TYPE_INT32", "tensor(float)": "TYPE_FP32"}
TENSOR = re.compile(r'\bname: "(\w+)" data_type: (\w+) dims: \[ (-?\d+) \]')
STATE = re.compile(r'input_name: "(\w+)" output_name: "(\w+)" data_type: (\w+) dims: \[ (\d+) \]')


@pytest.fixture(params=[("gru", 1), ("lstm", 2), ("rnn_tanh", 1), ("peephole_lstm", 1)])
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model folder with Triton's configuration, as Triton's repository has it."""
    cell, layers = request.param
    model = fresh_model(cell=cell, layers=layers)
    described = manifest(model, "keys", 3)
    return write_bundle(model, WORDS, described, tmp_path, Packing(triton=True)).parent


@pytest.fixture
def graph(model_folder: Path) -> ort.InferenceSession:
    """The graph that Triton would load."""
    return ort.InferenceSession(model_folder / "3" / "model.onnx")


def section(text: str, name: str) -> str:
    """What stands between the brackets of a list or a block."""
    found = re.search(rf"^{name} [\[{{]$(.*?)^[\]}}]$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_the_configuration_names_exactly_the_graphs_tensors(
    model_folder: Path, graph: ort.InferenceSession
) -> None:
    """Inputs, outputs and states together are the graph's, each with its own type."""
    text = (model_folder / "config.pbtxt").read_text(encoding="utf-8")
    inputs, outputs = (TENSOR.findall(section(text, part)) for part in ("input", "output"))
    states = STATE.findall(section(text, "sequence_batching"))

    named_in = {name: kind for name, kind, _ in inputs} | {name: k for name, _, k, _ in states}
    named_out = {name: kind for name, kind, _ in outputs} | {name: k for _, name, k, _ in states}

    assert {tensor.name: TYPES[tensor.type] for tensor in graph.get_inputs()} == named_in
    assert {tensor.name: TYPES[tensor.type] for tensor in graph.get_outputs()} == named_out


def test_the_sizes_are_the_graphs(model_folder: Path, graph: ort.InferenceSession) -> None:
    """Behind the batch, each output and state has the size that the graph gives it."""
    text = (model_folder / "config.pbtxt").read_text(encoding="utf-8")
    sizes = {tensor.name: tensor.shape[1] for tensor in graph.get_outputs()}

    for name, _, size in TENSOR.findall(section(text, "output")):
        assert sizes[name] == int(size)
    for _, name, _, size in STATE.findall(section(text, "sequence_batching")):
        assert sizes[name] == int(size)


def test_a_state_goes_out_under_its_own_name(model_folder: Path) -> None:
    """Each state's output is its input's name with `_out`, and begins as zeros of its size."""
    text = section((model_folder / "config.pbtxt").read_text(), "sequence_batching")
    states = STATE.findall(text)
    zeros = re.findall(r"initial_state: { data_type: TYPE_FP32 dims: \[ (\d+) \] zero_data", text)

    assert [f"{name}_out" for name, *_ in states] == [out for _, out, *_ in states]
    assert [size for *_, size in states] == zeros


def test_the_configuration_lies_where_triton_looks(model_folder: Path) -> None:
    """It stands in the model's folder beside the versions, names the model, and parses in pairs."""
    text = (model_folder / "config.pbtxt").read_text(encoding="utf-8")

    assert {"3", "config.pbtxt"} == {path.name for path in model_folder.iterdir()}
    assert ['name: "keys"', 'platform: "onnxruntime_onnx"'] == text.splitlines()[:2]
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")


def test_the_bundle_stays_a_bundle(model_folder: Path) -> None:
    """With the extra files it still loads."""
    assert "model.onnx" in bundle.load(model_folder / "3").files
