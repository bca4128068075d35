"""From a model to a bundle: what is written computes what the model computes, or nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from models.errors import BundleExistsError
from tests.unit.training.exporting import SHAPES, WORDS, export, manifest, scores
from tests.unit.training.support import fresh_model
from training.config import CELLS
from training.errors import ParityError
from training.export import write_bundle
from training.graphs import head_graph, recurrent_graph
from training.model import LanguageModel
from training.parity import TOLERANCE, check_parity
from training.scorer import OnnxScorer, TorchScorer


@pytest.mark.parametrize(("layers", "tied"), SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_bundle_computes_what_the_model_computes(cell, layers, tied, tmp_path: Path) -> None:
    """Every cell and head agrees with torch over stateful calls with ragged rows."""
    model = fresh_model(cell=cell, layers=layers, tied=tied)
    written = export(model, tmp_path)

    theirs = scores(OnnxScorer(*written.graphs(), threads=1))

    for ours, their in zip(scores(TorchScorer(model)), theirs, strict=True):
        np.testing.assert_allclose(their, ours, atol=1e-5, rtol=0)
    assert ("rnn" not in cell) == written.manifest.batch_invariant


def test_a_bundle_says_what_the_model_is(tmp_path: Path) -> None:
    """Architecture, features, state and provenance stand in the manifest."""
    described = export(fresh_model(cell="peephole_lstm", layers=2), tmp_path).manifest

    assert {
        "cell": "peephole_lstm",
        "layers": 2,
        "hidden": 7,
        "embedding": 5,
        "vocabulary": 11,
        "tied": True,
        "normalization": "none",
    } == described.architecture.model_dump()
    assert 7 == described.features
    assert ["h_0", "c_0", "h_1", "c_1"] == [tensor.name for tensor in described.state]
    assert "r" == described.provenance.recipe


@pytest.mark.parametrize("cell", CELLS)
def test_a_bundle_has_the_second_graph_that_its_cell_needs(cell: str, tmp_path: Path) -> None:
    """Where CUDA's kernels refuse the cell, or the CPU's couples rows, it has a decomposed one."""
    written = export(fresh_model(cell=cell), tmp_path)
    graphs = written.manifest.precisions["float32"]

    needed = cell not in ("lstm", "gru_reset_before")
    assert ("recurrent.decomposed.onnx" if needed else None) == graphs.decomposed
    assert needed == (written.graphs(fused=False) != written.graphs())
    assert written.graphs()[1] == written.graphs(fused=False)[1]


@pytest.mark.parametrize("cell", CELLS)
def test_the_second_graph_computes_what_the_model_computes(cell: str, tmp_path: Path) -> None:
    """Decomposed, in halves too, it agrees with torch over stateful calls with ragged rows."""
    model = fresh_model(cell=cell, layers=2)
    written = export(model, tmp_path, storage="float16")

    theirs = scores(OnnxScorer(*written.graphs(fused=False), threads=1))

    for ours, their in zip(scores(TorchScorer(model)), theirs, strict=True):
        np.testing.assert_allclose(their, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_normalised_bundle_needs_one_graph(cell: str, tmp_path: Path) -> None:
    """Its only recurrent graph is made of basic operators, and the manifest says so."""
    model = fresh_model(cell=cell, normalization="layer", layers=2)
    written = export(model, tmp_path)

    assert "layer" == written.manifest.architecture.normalization
    assert written.manifest.precisions["float32"].decomposed is None
    assert written.manifest.batch_invariant
    for ours, their in zip(
        scores(TorchScorer(model)), scores(OnnxScorer(*written.graphs(), threads=1)), strict=True
    ):
        np.testing.assert_allclose(their, ours, atol=1e-5, rtol=0)


def test_the_top_k_are_the_best_in_order(tmp_path: Path) -> None:
    """The head's suggestions are the k highest log-probabilities, best first."""
    head = ort.InferenceSession(head_graph(fresh_model(), "float32"))
    hidden = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)

    for k in (1, 4, 11):
        feeds = {"hidden": hidden, "k": np.array([k], np.int64)}
        log_probs, top, ids = head.run(["log_probs", "top_log_probs", "top_ids"], feeds)
        assert np.array_equal(np.sort(log_probs)[:, ::-1][:, :k], top)
        assert np.array_equal(np.take_along_axis(log_probs, ids, axis=1), top)


def test_equal_scores_go_to_the_lower_id() -> None:
    """Where all tokens are equally likely the first ones are suggested, in order."""
    model = fresh_model()
    with torch.no_grad():
        model.output_bias.zero_()
        model.embedding.zero_()
    head = ort.InferenceSession(head_graph(model, "float32"))

    feeds = {"hidden": np.ones((2, 7), np.float32), "k": np.array([4], np.int64)}

    assert [[0, 1, 2, 3]] * 2 == head.run(["top_ids"], feeds)[0].tolist()


@pytest.mark.parametrize(
    ("weight", "change"),
    [
        ("embedding", 1e-2),
        ("projection.weight", 1e-2),
        ("output_bias", 1e-2),
        ("layers.0.peephole", 0.1),
    ],
)
def test_altered_weights_are_found(weight: str, change: float) -> None:
    """Graphs whose weights are a little off differ from torch, and the check says by how much."""
    model, other = fresh_model(cell="peephole_lstm"), fresh_model(cell="peephole_lstm")
    with torch.no_grad():
        other.get_parameter(weight).view(-1)[3] += change
    graphs = recurrent_graph(other, "float32"), head_graph(other, "float32")

    with pytest.raises(ParityError, match=r"^m: the exported graphs differ from torch by \d"):
        check_parity(TorchScorer(model), OnnxScorer(*graphs, threads=1), 11, "m")


@pytest.mark.parametrize("cell", CELLS)
def test_a_wrong_gate_order_is_found(cell: str) -> None:
    """Exchanging two gates, or scaling an RNN's, is noticed."""
    model, other = fresh_model(cell=cell), fresh_model(cell=cell)
    with torch.no_grad():
        weight = other.layers[0].weight_hh
        weight.copy_(weight.roll(7, dims=0) if len(weight) > 7 else weight * 1.1)
    graphs = recurrent_graph(other, "float32"), head_graph(other, "float32")

    with pytest.raises(ParityError):
        check_parity(TorchScorer(model), OnnxScorer(*graphs, threads=1), 11, "m")


def test_equal_graphs_agree_within_the_tolerance() -> None:
    """The difference that is found for faithful graphs is below the limit."""
    model = fresh_model(layers=2)
    graphs = recurrent_graph(model, "float32"), head_graph(model, "float32")

    assert check_parity(TorchScorer(model), OnnxScorer(*graphs, threads=1), 11, "m") <= TOLERANCE


class _Warm(LanguageModel):
    """A model that computes something else than its weights say."""

    def log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().log_probs(hidden / 1.01)


def test_nothing_is_written_where_the_graphs_differ(tmp_path: Path) -> None:
    """A model that its graphs do not reproduce is refused before anything is on disk."""
    model = _Warm(fresh_model().config)

    with pytest.raises(ParityError, match="nothing was written"):
        write_bundle(model, WORDS, manifest(model), tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_a_model_without_numbers_is_not_written(tmp_path: Path) -> None:
    """NaN weights are no agreement."""
    model = fresh_model()
    with torch.no_grad():
        model.output_bias[2] = float("nan")

    with pytest.raises(ParityError):
        write_bundle(model, WORDS, manifest(model), tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_a_version_is_not_overwritten(tmp_path: Path) -> None:
    """Exporting twice to the same place is refused."""
    export(fresh_model(), tmp_path)

    with pytest.raises(BundleExistsError):
        export(fresh_model(seed=1), tmp_path)
