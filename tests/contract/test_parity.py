"""Every path computes what TensorFlow's and torch's own layers compute, to 1e-6 in float32."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import bundle
from models.bundle import Bundle
from models.manifest import Provenance
from models.text import Tokenizer
from tests import reference
from tests.contract.golden import CELLS, OPTIONS, Golden, Outputs, read_golden
from training.cells import build_layer
from training.cli import main
from training.config import ModelConfig
from training.export import describe, write_bundle
from training.model import LanguageModel
from training.scorer import OnnxScorer, Scorer, TorchScorer

TOLERANCE = 1e-6
DECOMPOSED = ("rnn_tanh", "rnn_relu", "peephole_lstm", "gru")
"""The cells of which a bundle has a second recurrent graph."""


@pytest.fixture(scope="module", params=CELLS)
def golden(request: pytest.FixtureRequest) -> Golden:
    """Each of TensorFlow's files."""
    return read_golden(request.param)


@pytest.fixture(scope="module")
def imported(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The file's layer as a bundle, written by `import-keras`.

    Each input is the embedding of a token, so that the ids 0, 1, 2 .. spell the whole input.
    """
    folder: Path = tmp_path_factory.mktemp("golden")
    x_TBI = golden.x_TBI
    embedding = x_TBI.reshape(-1, x_TBI.shape[2])
    chance = np.random.default_rng(0)
    arrays = {f"layer0.{name}": array for name, array in golden.weights.items()}
    arrays["dense.kernel"] = chance.normal(size=(7, len(embedding))).astype(np.float32)
    arrays["dense.bias"] = chance.normal(size=len(embedding)).astype(np.float32)
    np.savez(folder / "weights.npz", embedding=embedding, **arrays)
    words = "".join(f"x{n}\n" for n in range(2, len(embedding)))
    (folder / "words.txt").write_text(words, encoding="utf-8")
    files = [str(folder / "weights.npz"), "--vocabulary", str(folder / "words.txt")]
    target = ["--name", "m", "--to", str(folder)]
    assert 0 == main(["import-keras", *files, *OPTIONS[golden.name], *target])
    return bundle.load(folder / "m" / "1")


def test_torch_computes_what_tensorflow_does(golden: Golden) -> None:
    """The layer that is trained, its weights put in by hand."""
    layer = build_layer(CELLS[golden.name], 5, 7)
    weights = reference.from_keras(CELLS[golden.name], golden.weights)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    state = tuple(map(torch.from_numpy, golden.state))

    with torch.no_grad():
        y_TBH, last = layer(torch.from_numpy(golden.x_TBI), state)

    found = Outputs(y_TBH.numpy(), [part.numpy() for part in last])
    assert found.distance(golden.outputs) <= TOLERANCE


def test_the_equations_are_tensorflows(golden: Golden) -> None:
    """The plain numpy equations that all tests share, in double precision."""
    weights = reference.from_keras(CELLS[golden.name], golden.weights)
    state = [part.astype(np.float64) for part in golden.state]

    found = reference.run(CELLS[golden.name], weights, golden.x_TBI.astype(np.float64), state)

    assert Outputs(*found).distance(golden.outputs) <= TOLERANCE


@pytest.mark.parametrize("fused", [True, False])
def test_an_imported_bundle_computes_what_tensorflow_does(
    golden: Golden, imported: Bundle, fused
) -> None:
    """The recurrent graph under onnxruntime, fused, and decomposed where the bundle has that."""
    T, B, _ = golden.x_TBI.shape
    scorer = OnnxScorer(*imported.graphs(fused=fused), threads=1)
    ids_BT = np.arange(T * B).reshape(T, B).T

    found = read(scorer, ids_BT, golden.state)

    assert found.distance(golden.outputs) <= TOLERANCE
    decomposed = imported.manifest.precisions["float32"].decomposed
    assert (CELLS[golden.name] in DECOMPOSED) == (decomposed is not None)


def read(scorer: Scorer, ids_BT: np.ndarray, state: list[np.ndarray]) -> Outputs:
    """Read rows of equal length from a state; the hidden vectors, and the state behind them."""
    lengths_B = np.full(len(ids_BT), ids_BT.shape[1], np.int32)
    hidden_BTD, last = scorer.read(
        ids_BT.astype(np.int64), lengths_B, [part[None] for part in state]
    )
    return Outputs(hidden_BTD.transpose(1, 0, 2), [part[0] for part in last])


TORCHS = {
    "rnn_tanh": lambda *sizes: nn.RNN(*sizes, nonlinearity="tanh"),
    "rnn_relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
INPUTS, HIDDEN, LAYERS, VOCABULARY = 6, 9, 2, 40


class Stack:
    """One of torch's own layers, two deep, what it makes of some input, and a model like it."""

    def __init__(self, cell: str) -> None:
        torch.manual_seed(3)
        self.cell = cell
        theirs = TORCHS[cell](INPUTS, HIDDEN, LAYERS)
        self.model = _model(cell, theirs)
        self.ids_BT = np.random.default_rng(3).integers(0, VOCABULARY, (4, 25))
        parts = 2 if cell == "lstm" else 1
        state_PLBH = torch.randn(parts, LAYERS, 4, HIDDEN)
        self.state = [part for layer in state_PLBH.transpose(0, 1).numpy() for part in layer]
        """h_0, c_0, h_1, c_1, as in a bundle."""
        with torch.no_grad():
            self.x_TBI = self.model.embedding[torch.from_numpy(self.ids_BT.T.copy())]
            y_TBH, last = theirs(self.x_TBI, tuple(state_PLBH) if parts == 2 else state_PLBH[0])
        last_LPBH = torch.stack(last if parts == 2 else (last,), dim=1).numpy()
        self.wanted = Outputs(y_TBH.numpy(), [part for layer in last_LPBH for part in layer])


def _model(cell: str, theirs: nn.RNNBase) -> LanguageModel:
    """A language model whose layers are those of torch."""
    model = LanguageModel(
        ModelConfig(
            cell=cell,
            layers=LAYERS,
            embedding=INPUTS,
            hidden=HIDDEN,
            vocabulary=VOCABULARY,
            tied=False,
        )
    )
    with torch.no_grad():
        model.embedding.normal_()
        for number, layer in enumerate(model.layers):
            for name, parameter in layer.named_parameters():
                parameter.copy_(getattr(theirs, f"{name}_l{number}"))
    return model


@pytest.fixture(scope="module", params=TORCHS)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each of torch's own layers."""
    return Stack(request.param)


def test_our_layers_compute_what_torchs_do(stack: Stack) -> None:
    """Outputs and states are those of nn.RNN, nn.LSTM and nn.GRU."""
    found = read(TorchScorer(stack.model), stack.ids_BT, stack.state)

    assert found.distance(stack.wanted) <= TOLERANCE


def test_the_equations_are_torchs(stack: Stack) -> None:
    """The shared numpy equations, layer upon layer."""
    layers = [
        {
            name: array.detach().numpy().astype(np.float64)
            for name, array in layer.named_parameters()
        }
        for layer in stack.model.layers
    ]
    doubles = [part.astype(np.float64) for part in stack.state]
    ends = range(0, len(doubles) + 1, len(doubles) // LAYERS)
    states = [doubles[start:end] for start, end in pairwise(ends)]

    y_TBH, last = reference.run_layers(
        stack.cell, layers, stack.x_TBI.numpy().astype(np.float64), states
    )

    found = Outputs(y_TBH, [part for layer in last for part in layer])
    assert found.distance(stack.wanted) <= TOLERANCE


@pytest.mark.parametrize("fused", [True, False])
def test_a_bundle_computes_what_torch_does(stack: Stack, fused, tmp_path: Path) -> None:
    """A bundle of the same weights under onnxruntime, fused and decomposed."""
    origin = Provenance(recipe="r", corpus="c", corpus_sha256="", steps=0)
    tokenizer = Tokenizer.from_tokens([f"w{n}" for n in range(VOCABULARY - 2)], "pretokenised")
    manifest = describe(stack.model, "m", 1, origin)
    folder = write_bundle(stack.model, tokenizer, manifest, tmp_path)

    scorer = OnnxScorer(*bundle.load(folder).graphs(fused=fused), threads=1)

    assert read(scorer, stack.ids_BT, stack.state).distance(stack.wanted) <= TOLERANCE
