"""Batch normalisation of the input products, layer normalisation of all sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import bundle
from tests import reference
from tests.unit.training.support import run_config, write_corpus
from training.cells import Layer, build_layer
from training.checkpoint import load_run
from training.config import CELLS, Cell, check_model_config
from training.errors import ConfigError
from training.evaluate import evaluate
from training.export import export_run
from training.normalization import EPSILON, InputBatchNorm
from training.scorer import OnnxScorer, TorchScorer
from training.train import train

INPUTS, HIDDEN = 4, 3


def make_layer(cell: Cell, normalization: str, seed: int = 1) -> Layer:
    """A layer in double precision, the weights of its normalisation away from their start."""
    torch.manual_seed(seed)
    layer = build_layer(cell, INPUTS, HIDDEN, normalization=normalization).double()
    with torch.no_grad():
        for parameter in layer.norm.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return layer


def random_state(layer: Layer, batch: int) -> tuple[torch.Tensor, ...]:
    """A state away from zero."""
    return tuple(torch.randn_like(part) for part in layer.initial_state(batch))


def random_input(length: int, batch: int) -> torch.Tensor:
    """Inputs whose columns have means and sizes of their own."""
    scale, shift = torch.tensor([0.1, 1, 5, 20.0]), torch.tensor([3, -1, 0, 7.0])
    return (torch.randn(length, batch, INPUTS) * scale + shift).double()


def products(layer: Layer, x_TBI: torch.Tensor) -> torch.Tensor:
    """W x + b of all steps, as the layer's normalisation has it; [T*B, G*H]."""
    W, b = layer.norm.fold(layer.weight_ih, layer.bias_ih, x_TBI)
    return (x_TBI @ W.t() + b).flatten(0, 1)


@pytest.mark.parametrize("cell", CELLS)
def test_batch_normalised_products_have_the_gain_as_their_size(cell: Cell) -> None:
    """In training each row of W x has the bias as mean and the gain as deviation."""
    layer = make_layer(cell, "batch")
    sums = products(layer, random_input(50, 4))

    torch.testing.assert_close(sums.mean(0), layer.bias_ih.data, atol=1e-9, rtol=0)
    torch.testing.assert_close(sums.std(0, correction=0), layer.norm.gain.abs(), rtol=1e-2, atol=0)


def test_gains_begin_small() -> None:
    """At first the products have a deviation of a tenth, so that no gate saturates."""
    layer = build_layer("lstm", INPUTS, HIDDEN, normalization="batch").double()

    sums = products(layer, random_input(50, 4))

    torch.testing.assert_close(
        sums.std(0, correction=0), torch.full((12,), 0.1).double(), rtol=1e-2, atol=0
    )


def test_running_statistics_come_to_those_of_the_data() -> None:
    """After many windows they are the mean and variance of W x over all of them."""
    layer = make_layer("gru", "batch")
    windows = [random_input(40, 8) for _ in range(60)]

    for x_TBI in windows:
        layer(x_TBI, layer.initial_state(8))

    sums = torch.cat([(x @ layer.weight_ih.t()).flatten(0, 1) for x in windows[-20:]])
    spread = sums.std(0, correction=0)
    off = (layer.norm.running_mean - sums.mean(0)) / spread
    assert off.abs().max() < 0.05
    torch.testing.assert_close(layer.norm.running_var.sqrt(), spread, rtol=0.05, atol=0)


def test_one_window_moves_them_by_a_tenth() -> None:
    """Statistics start at 0 and 1 and take over a tenth of a window's."""
    layer = make_layer("rnn_tanh", "batch")
    x_TBI = random_input(40, 8)
    sums = (x_TBI @ layer.weight_ih.t()).flatten(0, 1)

    layer(x_TBI, layer.initial_state(8))

    mean, var = sums.mean(0), sums.var(0, correction=0)
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * mean.detach())
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * var.detach())


@pytest.mark.parametrize("cell", CELLS)
def test_evaluation_uses_the_running_statistics(cell: Cell) -> None:
    """What a row comes to then depends neither on its batch nor on the length of the window."""
    layer = make_layer(cell, "batch")
    x_TBI, state = random_input(9, 3), random_state(layer, 3)
    layer(x_TBI, state)
    layer.eval()
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}

    whole, _ = layer(x_TBI, state)
    alone, _ = layer(x_TBI[:4, :1], tuple(part[:1] for part in state))

    torch.testing.assert_close(whole[:4, :1], alone, atol=1e-12, rtol=0)
    for name, buffer in layer.named_buffers():
        assert torch.equal(before[name], buffer), name


@pytest.mark.parametrize("cell", CELLS)
def test_batch_normalisation_is_the_plain_equation(cell: Cell) -> None:
    """In evaluation: W x less the running mean, by the running deviation, scaled, plus b."""
    layer = make_layer(cell, "batch").eval()
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    x_TBI, state = torch.randn(6, 2, INPUTS).double(), random_state(layer, 2)
    weights = {name: array.detach().numpy() for name, array in layer.named_parameters()}
    mean, var = layer.norm.running_mean.numpy(), layer.norm.running_var.numpy()
    scale = weights.pop("norm.gain") / np.sqrt(var + EPSILON)
    weights["bias_ih"] = weights["bias_ih"] - mean * scale
    weights["weight_ih"] = weights["weight_ih"] * scale[:, None]

    y_TBH, _ = layer(x_TBI, state)

    wanted, _ = reference.run(cell, weights, x_TBI.numpy(), [part.numpy() for part in state])
    np.testing.assert_allclose(y_TBH.detach().numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_folding_changes_no_output(cell: Cell) -> None:
    """Statistics and gains go into W and b, and the layer evaluates as before, without a norm."""
    layer = make_layer(cell, "batch")
    x_TBI, state = random_input(9, 3), random_state(layer, 3)
    layer(x_TBI, state)
    layer.eval()
    before = layer(x_TBI, state)

    layer.fold()

    assert layer.norm is None
    torch.testing.assert_close(layer(x_TBI, state), before, atol=1e-12, rtol=0)
    layer.train()
    torch.testing.assert_close(layer(x_TBI, state), before, atol=1e-12, rtol=0)


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_folding_leaves_other_layers_alone(normalization: str) -> None:
    """Only batch normalisation can be folded."""
    layer = build_layer("lstm", INPUTS, HIDDEN, normalization=normalization)
    before, norm = {name: p.clone() for name, p in layer.named_parameters()}, layer.norm

    layer.fold()

    assert norm is layer.norm
    assert all(torch.equal(before[name], p) for name, p in layer.named_parameters())


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_flow_through_the_statistics(cell: Cell, normalization: str) -> None:
    """Gradients of all weights, the input and the state agree with finite differences."""
    layer = make_layer(cell, normalization, seed=3)
    x_TBI, state = torch.randn(3, 2, INPUTS).double(), random_state(layer, 2)
    names = [name for name, _ in layer.named_parameters()]

    def forward(x: torch.Tensor, *rest: torch.Tensor):
        state, weights = rest[: -len(names)], rest[-len(names) :]
        values = dict(zip(names, weights, strict=True))
        buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        y_TBH, last = torch.func.functional_call(layer, values | buffers, (x, state))
        return y_TBH, *last

    arguments = [x_TBI, *state, *(weight.detach() for weight in layer.parameters())]
    arguments = [argument.clone().requires_grad_() for argument in arguments]

    assert torch.autograd.gradcheck(forward, arguments, fast_mode=True)


@pytest.mark.parametrize("cell", CELLS)
def test_layer_normalisation_is_the_plain_equation(cell: Cell) -> None:
    """W x, R h and c on its way into h are normalised, each row over its own units."""
    layer = make_layer(cell, "layer")
    x_TBI, state = random_input(6, 2), random_state(layer, 2)
    weights = {
        name.removeprefix("norm."): array.detach().numpy()
        for name, array in layer.named_parameters()
    }

    y_TBH, last = layer(x_TBI, state)

    wanted, wanted_last = reference.run(
        cell, weights, x_TBI.numpy(), [part.numpy() for part in state]
    )
    np.testing.assert_allclose(y_TBH.detach().numpy(), wanted, atol=1e-10)
    for part, expected in zip(last, wanted_last, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_layer_normalisation_does_not_care_for_the_size_of_the_input(cell: Cell) -> None:
    """Inputs a thousand times as large come to the same, all but the epsilon."""
    layer = make_layer(cell, "layer")
    x_TBI, state = torch.randn(6, 2, INPUTS).double(), random_state(layer, 2)

    small, _ = layer(x_TBI * 100, state)
    large, _ = layer(x_TBI * 100_000, state)

    torch.testing.assert_close(small, large, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "rnn_relu"])
def test_an_identity_start_is_for_the_rectified_rnn(cell: Cell) -> None:
    """Other cells repeat nothing with an identity as R, so they are refused."""
    assert check_model_config({"cell": "rnn_relu", "start": "identity"}).start == "identity"
    with pytest.raises(ConfigError, match=f"start=identity is for rnn_relu, not for {cell}$"):
        check_model_config({"cell": cell, "start": "identity"})


@pytest.fixture(scope="module", params=["batch", "layer"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of a normalised model."""
    folder: Path = tmp_path_factory.mktemp("run")
    config = run_config(cell="peephole_lstm", normalization=request.param, layers=2)
    return train("small", config, write_corpus(folder / "corpus"), folder / "run")


def test_a_run_keeps_what_its_normalisation_learned(run: Path) -> None:
    """The best model comes back with its gains and its running statistics."""
    model = load_run(run).model

    for layer in model.layers:
        assert layer.norm is not None
        fresh = type(model)(model.config).layers[0].norm
        for name, tensor in layer.norm.state_dict().items():
            assert not torch.allclose(fresh.state_dict()[name], tensor, atol=1e-3), name
        if isinstance(layer.norm, InputBatchNorm):
            assert {"gain", "running_mean", "running_var"} == set(layer.norm.state_dict())


def test_a_normalised_run_is_exported_as_it_evaluates(run: Path, tmp_path: Path) -> None:
    """Run and bundle have the same figures, though the bundle knows of no batch statistics."""
    text = (run.parent / "corpus" / "test.txt").read_text(encoding="utf-8")
    kept = load_run(run)

    loaded = bundle.load(export_run(run, tmp_path, "m", 1))

    ours = evaluate(TorchScorer(kept.model), kept.tokenizer, text)
    theirs = evaluate(OnnxScorer(*loaded.graphs(), threads=1), loaded.tokenizer, text)
    assert ours.perplexity == pytest.approx(theirs.perplexity, rel=1e-5)
    assert (ours.top1, ours.keystroke_savings) == (theirs.top1, theirs.keystroke_savings)
    wanted = kept.info.config.normalization
    assert ("none" if wanted == "batch" else "layer") == (
        loaded.manifest.architecture.normalization
    )
