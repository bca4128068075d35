"""The two forms of every cell's recurrent graph agree, with each other and with torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests import reference
from training.config import CELLS, ModelConfig
from training.graphs import fold_normalization, head_graph, recurrent_graph
from training.model import LanguageModel
from training.normalization import InputBatchNorm, LayerNorms
from training.scorer import OnnxScorer, Scorer, TorchScorer

TOLERANCE = 1e-6
"""For numbers below 1, and in proportion above: a memory cell has no bound."""
CARRIED_TOLERANCE = 1e-4
"""For layer-normalised cells over 40 tokens, whose every step adds to the rounding of those before
it: each product is stretched to the same variance, so that the state's differences grow with it.
torch's own float32 lies up to 4e-5 from its float64 there."""
VOCABULARY, HIDDEN = 30, 9
COUPLED = [cell for cell in CELLS if cell.startswith("cifg")]


class Text(NamedTuple):
    """Rows of several lengths, and a state to begin from."""

    ids_BT: np.ndarray
    lengths_B: np.ndarray
    state: list[np.ndarray]


def make_model(cell: str, normalization: str = "none", layers: int = 2) -> LanguageModel:
    """A model with random weights; those of its normalisation are away from their start, too."""
    torch.manual_seed(1)
    model = LanguageModel(
        ModelConfig(
            cell=cell,
            normalization=normalization,
            layers=layers,
            embedding=6,
            hidden=HIDDEN,
            vocabulary=VOCABULARY,
        )
    )
    with torch.no_grad():
        model.embedding.normal_()
        for layer in model.layers:
            if isinstance(layer.norm, InputBatchNorm):
                layer.norm.running_mean.normal_()
                layer.norm.running_var.uniform_(0.5, 2)
                layer.norm.gain.uniform_(0.1, 1)
            elif isinstance(layer.norm, LayerNorms):
                for parameter in layer.norm.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def make_text(model: LanguageModel, lengths: list[int]) -> Text:
    """Random ids, and a state away from zero."""
    chance = np.random.default_rng(2)
    zeros = TorchScorer(model).initial_state(len(lengths))
    return Text(
        chance.integers(0, VOCABULARY, (len(lengths), max(lengths))),
        np.array(lengths, np.int32),
        [chance.normal(size=part.shape).astype(np.float32) for part in zeros],
    )


def onnx_scorer(model: LanguageModel, *, decomposed: bool = False) -> OnnxScorer:
    """A graph of the model under onnxruntime."""
    graph = recurrent_graph(model, "float32", decomposed=decomposed)
    return OnnxScorer(graph, head_graph(model, "float32"), threads=1)


def read(scorer: Scorer, text: Text) -> list[np.ndarray]:
    """The hidden vectors and all parts of the state."""
    hidden_BTD, state = scorer.read(*text)
    return [hidden_BTD, *state]


def assert_near(wanted: list[np.ndarray], found: list[np.ndarray], tolerance: float) -> None:
    """No number is further off."""
    for one, other in zip(wanted, found, strict=True):
        assert (np.abs(other - one) <= tolerance * np.maximum(1, np.abs(one))).all()


@pytest.mark.parametrize("lengths", [[1, 1, 1, 1], [40, 1, 17, 33]], ids=["step", "text"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("cell", CELLS)
def test_both_forms_agree(cell: str, normalization: str, lengths: list[int]) -> None:
    """One fused operator a layer or the cell's equation in a Scan: it comes to the same."""
    model = make_model(cell, normalization)
    fold_normalization(model)
    text = make_text(model, lengths)

    fused, decomposed = (onnx_scorer(model, decomposed=form) for form in (False, True))

    wanted = read(TorchScorer(model), text)
    assert_near(read(fused, text), read(decomposed, text), TOLERANCE)
    assert_near(wanted, read(decomposed, text), TOLERANCE)


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_normalised_cell_steps_as_torch_does(cell: str) -> None:
    """From the same state each of 40 steps comes to the same; rows that are at their end wait."""
    model = make_model(cell, "layer")
    torchs, onnxs = TorchScorer(model), onnx_scorer(model)
    text = make_text(model, [40, 1, 17, 33])
    state = text.state

    for t in range(40):
        running = text.lengths_B > t
        step = Text(text.ids_BT[running, t : t + 1], np.ones(running.sum(), np.int32), [
            part[:, running] for part in state
        ])  # fmt: skip
        wanted = read(torchs, step)
        assert_near(wanted, read(onnxs, step), TOLERANCE)
        for part, after in zip(state, wanted[1:], strict=True):
            part[:, running] = after


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_normalised_cell_reads_as_torch_does(cell: str) -> None:
    """Over a whole text the differences that steps add up to stay small, and behind a row's end
    there are zeros."""
    model = make_model(cell, "layer")
    text = make_text(model, [40, 1, 17, 33])

    wanted, found = read(TorchScorer(model), text), read(onnx_scorer(model), text)

    assert_near(wanted, found, CARRIED_TOLERANCE)
    behind = np.arange(40) >= text.lengths_B[:, None]
    assert not found[0][behind].any()


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("cell", COUPLED)
def test_a_coupled_forget_gate_is_what_the_input_gate_leaves(cell: str, decomposed) -> None:
    """`input_forget` and its decomposed form are the plain equations' f = 1 - i."""
    model = make_model(cell, layers=1)
    text = make_text(model, [40, 40, 40])
    (layer,) = model.layers
    weights = {name: array.detach().double().numpy() for name, array in layer.named_parameters()}
    x_TBI = model.embedding.detach().double().numpy()[text.ids_BT.T]

    y_TBH, last = reference.run(
        cell, weights, x_TBI, [part[0].astype(np.float64) for part in text.state]
    )

    found = read(onnx_scorer(model, decomposed=decomposed), text)
    wanted = [y_TBH.transpose(1, 0, 2), *(part[None] for part in last)]
    assert_near(wanted, found, TOLERANCE)


def gpu_works(graph: bytes) -> bool:
    """Whether onnxruntime can open a graph on a GPU; it falls back without a word."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return False
    ort.preload_dlls()
    session = ort.InferenceSession(graph, providers=["CUDAExecutionProvider"])
    return session.get_providers()[0] == "CUDAExecutionProvider"


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_gpu_computes_what_a_cpu_does(cell: str, normalization: str) -> None:
    """The decomposed graph runs on CUDA alone, and comes to the same."""
    model = make_model(cell, normalization)
    graph = recurrent_graph(model, "float32", decomposed=True)
    if not gpu_works(graph):
        pytest.skip("onnxruntime finds no GPU here")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = ort.InferenceSession(graph, options, providers=["CUDAExecutionProvider"])
    text = make_text(model, [12, 1, 7, 10])
    wanted = read(onnx_scorer(model, decomposed=True), text)
    values = [text.ids_BT, text.lengths_B, *text.state]
    names = [tensor.name for tensor in session.get_inputs()]

    found = session.run(None, dict(zip(names, values, strict=True)))

    assert_near(wanted, found, 1e-5 if normalization == "none" else CARRIED_TOLERANCE)
