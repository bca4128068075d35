"""Weights stored as bytes: a quarter of the room, nothing left of it once a runtime has loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto

from models import bundle
from models.bundle import Bundle
from models.text import Tokenizer
from tests.unit.training.exporting import SHAPES, WORDS, export, manifest, scores
from tests.unit.training.support import fresh_model
from training.config import CELLS
from training.errors import WeightsError
from training.export import Packing, write_bundle
from training.graphs import head_graph, merged_graph, recurrent_graph
from training.model import LanguageModel
from training.scorer import OnnxScorer, TorchScorer
from training.sharing import SHARED_FILE

BUILDS = [recurrent_graph, head_graph, merged_graph]


def folder_of(repository: Path) -> Path:
    """Where `export` wrote."""
    return repository / "m" / "1"


def opened(graph: Path | bytes, folded: Path | None = None) -> ort.InferenceSession:
    """A graph as onnxruntime loads it; what it makes of it is written to `folded`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if folded is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
    return ort.InferenceSession(graph, options)


def assert_computes(written: Bundle, model: LanguageModel) -> None:
    """Both forms of the bundle agree with the (rounded) model."""
    for fused in (True, False):
        theirs = scores(OnnxScorer(*written.graphs(fused=fused), threads=1))
        for ours, their in zip(scores(TorchScorer(model)), theirs, strict=True):
            np.testing.assert_allclose(their, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("layers", "tied"), SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_rounded_model_is_what_counts(cell, layers, tied, tmp_path: Path) -> None:
    """Of every cell and head the graphs agree with the model that holds the rounded weights."""
    model = fresh_model(cell=cell, layers=layers, tied=tied)

    assert_computes(export(model, tmp_path, storage="int8"), model)
    assert not torch.equal(model.embedding, fresh_model(cell=cell).embedding)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_layer_normalised_ones_too(cell: str, tmp_path: Path) -> None:
    """Their matrices are bytes, their gains are not."""
    model = fresh_model(cell=cell, normalization="layer", layers=2)

    assert_computes(export(model, tmp_path, storage="int8"), model)


def test_a_tied_embedding_lies_there_once(tmp_path: Path) -> None:
    """Recurrent graph, decomposed graph and head refer to one file, the bundle's own."""
    model = fresh_model(cell="peephole_lstm", embedding=40, hidden=50, vocabulary=300)
    written = write_bytes(model, tmp_path)

    assert 300 * 40 + 300 * 4 == len(written.files[SHARED_FILE])
    for name in ("recurrent.onnx", "recurrent.decomposed.onnx", "head.onnx"):
        tensors = onnx.load_model_from_string(written.files[name]).graph.initializer
        outside = {one.name for one in tensors if one.data_location == TensorProto.EXTERNAL}
        assert {"embedding_i8", "embedding_scale"} == outside


def write_bytes(model: LanguageModel, repository: Path) -> Bundle:
    """A bundle of a model that has its own number of words."""
    words = Tokenizer.from_tokens(
        [f"w{n}" for n in range(model.config.vocabulary - 2)], "pretokenised"
    )
    packing = Packing(storage="int8")
    return bundle.load(write_bundle(model, words, manifest(model), repository, packing))


def test_an_embedding_of_one_graph_stays_in_it(tmp_path: Path) -> None:
    """An untied head shares nothing, so there is no file to share."""
    written = export(fresh_model(tied=False), tmp_path, storage="int8")

    assert SHARED_FILE not in written.files
    assert written.files["recurrent.onnx"] == written.graphs()[0]


def test_what_was_proven_is_what_is_handed_out(tmp_path: Path) -> None:
    """The graphs of the loaded bundle are the graphs that were written, byte for byte."""
    model = fresh_model(cell="gru")
    written = export(model, tmp_path, storage="int8")

    assert (recurrent_graph(model, "int8"), head_graph(model, "int8")) == written.graphs()
    assert recurrent_graph(model, "int8", decomposed=True) == written.graphs(fused=False)[0]


def test_the_folder_can_be_opened_without_us(tmp_path: Path) -> None:
    """onnx and onnxruntime find the shared file by themselves, and answer the same."""
    written = export(fresh_model(), tmp_path, storage="int8")
    feeds = {"hidden": np.ones((3, 7), np.float32), "k": np.array([4], np.int64)}

    theirs = opened(folder_of(tmp_path) / "head.onnx").run(["log_probs"], feeds)[0]
    ours = opened(written.graphs()[1]).run(["log_probs"], feeds)[0]

    onnx.checker.check_model(str(folder_of(tmp_path) / "recurrent.onnx"), full_check=True)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("build", BUILDS)
def test_nothing_of_it_is_left_in_a_runtime(build, tmp_path: Path) -> None:
    """onnxruntime folds bytes and scales into float32 weights as it loads: a step costs no more."""
    model = fresh_model(layers=2)
    for storage in ("float32", "int8"):
        opened(build(model, storage), tmp_path / storage)

    plain, folded = (onnx.load(tmp_path / storage).graph for storage in ("float32", "int8"))
    assert [one.op_type for one in plain.node] == [one.op_type for one in folded.node]
    for one, other in zip(by_name(plain), by_name(folded), strict=True):
        assert (one.data_type, one.dims) == (other.data_type, other.dims)


def by_name(graph: onnx.GraphProto) -> list[TensorProto]:
    """The weights of a graph, of which a folded one may have given some names of its own."""
    return sorted(graph.initializer, key=lambda one: (one.data_type, list(one.dims)))


@pytest.mark.parametrize("build", BUILDS)
def test_matrices_take_a_quarter(build) -> None:
    """All that is left of float32 is a number a row; the merged graph has a tied matrix once."""
    model = fresh_model(embedding=60, hidden=80, vocabulary=600)

    whole, small = len(build(model, "float32")), len(build(model, "int8"))

    assert small < 0.32 * whole
    tensors = onnx.load_from_string(build(model, "int8")).graph.initializer
    large = {one.data_type for one in tensors if sum(dim > 1 for dim in one.dims) > 1}
    assert {TensorProto.INT8} == large


def test_the_card_tells_what_rounding_cost(tmp_path: Path) -> None:
    """How far the graphs are from the rounded model, and that from the one that was trained."""
    (tmp_path / "text.txt").write_text("w1 w2 w3\nw4 w1 w1\n")
    written = export(
        fresh_model(), tmp_path, storage="int8", test=tmp_path / "text.txt", single_file=True
    )
    card, metrics = written.files["README.md"].decode(), written.manifest.provenance.metrics

    assert "stored as int8, calculated with as float32" in card
    assert "agree with the trained model, its weights rounded to int8, to " in card
    assert "The rounding itself changed them by at most " in card
    unrounded = metrics["test_perplexity_unrounded"]
    assert f"| test_perplexity_unrounded | {unrounded} |" in card
    assert unrounded != metrics["test_perplexity"]
    assert metrics["test_perplexity"] == pytest.approx(unrounded, rel=0.01)
    assert written.size_bytes() == metrics["size_bytes"]


def test_the_single_file_holds_all(tmp_path: Path) -> None:
    """The merged graph is whole by itself, and answers what the two do."""
    written = export(fresh_model(), tmp_path, storage="int8", single_file=True)
    graph = onnx.load_model_from_string(written.files["model.onnx"]).graph
    two = OnnxScorer(*written.graphs(), threads=1)
    zeros = two.initial_state(1)
    hidden_BTD, _ = two.read(np.array([[3]]), np.array([1], np.int32), zeros)

    feeds = {"h_0": zeros[0][0], "c_0": zeros[1][0], "input_ids": np.array([[3]])}
    (merged,) = opened(written.files["model.onnx"]).run(
        ["log_probs"], feeds | {"lengths": np.array([1], np.int32)}
    )

    assert {TensorProto.DEFAULT} == {one.data_location for one in graph.initializer}
    np.testing.assert_allclose(merged, two.log_probs(hidden_BTD[0]), atol=1e-6)


def test_weights_without_numbers_are_not_written(tmp_path: Path) -> None:
    """They have no scale, and rounding would hide them."""
    model = fresh_model()
    with torch.no_grad():
        model.layers[0].weight_hh[2, 1] = float("nan")

    with pytest.raises(WeightsError, match="no finite number"):
        write_bundle(model, WORDS, manifest(model), tmp_path, Packing(storage="int8"))

    assert [] == list(tmp_path.iterdir())
