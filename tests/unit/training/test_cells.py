"""Every cell computes its equations, from any state and for any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import reference
from training.cells import Layer, build_layer
from training.config import CELLS, Cell

INPUTS, HIDDEN = 4, 3


def double_layer(cell: Cell, seed: int = 1) -> Layer:
    """A layer with random weights, in double precision."""
    torch.manual_seed(seed)
    return build_layer(cell, INPUTS, HIDDEN).double()


def random_state(layer: Layer, batch: int) -> tuple[torch.Tensor, ...]:
    """A state away from zero."""
    return tuple(torch.randn_like(part) for part in layer.initial_state(batch))


def weights_of(layer: Layer) -> dict[str, np.ndarray]:
    """The weights as plain arrays."""
    return {name: weight.detach().numpy() for name, weight in layer.named_parameters()}


@pytest.mark.parametrize(("length", "batch"), [(1, 1), (1, 3), (6, 1), (9, 2)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_computes_its_equations(cell: Cell, length: int, batch: int) -> None:
    """Outputs and last state are those of the equations, taken step by step in numpy."""
    layer = double_layer(cell)
    x_TBI, state = torch.randn(length, batch, INPUTS).double(), random_state(layer, batch)

    y_TBH, last = layer(x_TBI, state)

    wanted_y, wanted_state = reference.run(
        cell, weights_of(layer), x_TBI.numpy(), [part.numpy() for part in state]
    )
    np.testing.assert_allclose(y_TBH.detach().numpy(), wanted_y, atol=1e-12)
    assert len(wanted_state) == len(last)
    for wanted, part in zip(wanted_state, last, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_new_state_is_all_zeros(cell: Cell) -> None:
    """A state has a row of zeros for each stream: h, and c for the LSTMs only."""
    state = build_layer(cell, INPUTS, HIDDEN).initial_state(5)

    assert (2 if "lstm" in cell else 1) == len(state)
    for part in state:
        assert (5, HIDDEN) == tuple(part.shape)
        assert not part.any()


@pytest.mark.parametrize("cell", CELLS)
def test_two_halves_are_the_whole(cell: Cell) -> None:
    """Reading in two calls with the state carried gives what reading at once gives."""
    layer = double_layer(cell)
    x_TBI, state = torch.randn(7, 2, INPUTS).double(), random_state(layer, 2)

    whole, last = layer(x_TBI, state)
    first, between = layer(x_TBI[:3], state)
    second, end = layer(x_TBI[3:], between)

    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-13, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-13, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_lie_gate_by_gate(cell: Cell) -> None:
    """The rows of the weights are as many gates as the layer names, of H rows each."""
    layer = build_layer(cell, INPUTS, HIDDEN)
    rows = len(layer.gates) * HIDDEN

    assert (rows, INPUTS) == tuple(layer.weight_ih.shape)
    assert (rows, HIDDEN) == tuple(layer.weight_hh.shape)
    assert (rows,) == tuple(layer.bias_ih.shape) == tuple(layer.bias_hh.shape)


@pytest.mark.parametrize(
    ("cell", "gate", "bias"),
    [
        ("lstm", "f", 1.0),
        ("peephole_lstm", "f", 1.0),
        ("cifg_lstm", "i", -1.0),
        ("cifg_peephole_lstm", "i", -1.0),
        ("gru", "z", 1.0),
        ("gru_reset_before", "z", 1.0),
    ],
)
def test_a_gated_cell_begins_by_keeping_its_memory(cell: Cell, gate: str, bias: float) -> None:
    """The gate that keeps starts open, or the one that overwrites closed, and that gate alone."""
    layer = build_layer(cell, INPUTS, HIDDEN)
    biases = dict(zip(layer.gates, layer.bias_ih.split(HIDDEN), strict=True))

    assert [bias] * HIDDEN == biases.pop(gate).tolist()
    for other in biases.values():
        assert other.abs().max() < 1


@pytest.mark.parametrize("cell", CELLS)
def test_peepholes_are_the_layers_of_that_name_only(cell: Cell) -> None:
    """A row for each gate that sees the memory cell; other cells have no such weights."""
    names = dict(build_layer(cell, INPUTS, HIDDEN).named_parameters())

    rows = {"peephole_lstm": 3, "cifg_peephole_lstm": 2}.get(cell)
    assert (rows is not None) == ("peephole" in names)
    if rows is not None:
        assert (rows, HIDDEN) == tuple(names["peephole"].shape)


def test_an_identity_start_repeats_the_state() -> None:
    """Without input, a rectified RNN that starts so carries h on for ever (Le 2015)."""
    layer = build_layer("rnn_relu", INPUTS, HIDDEN, start="identity")
    state = (torch.rand(2, HIDDEN),)

    y_TBH, last = layer(torch.zeros(50, 2, INPUTS), state)

    assert torch.equal(state[0].expand(50, 2, HIDDEN), y_TBH)
    assert torch.equal(state[0], last[0])


def test_an_identity_start_hears_its_input_faintly() -> None:
    """Inputs move the state, by little: their weights are of size 0.001."""
    torch.manual_seed(1)
    layer = build_layer("rnn_relu", 100, 200, start="identity")

    assert 0.0009 < layer.weight_ih.std() < 0.0011
    assert not layer.bias_ih.any()
    assert not layer.bias_hh.any()


@pytest.mark.parametrize("cell", CELLS)
def test_every_weight_of_a_cell_learns(cell: Cell) -> None:
    """A gradient reaches all weights, the input and the state."""
    layer = double_layer(cell)
    x_TBI = torch.randn(5, 2, INPUTS).double().requires_grad_()
    state = tuple(part.requires_grad_() for part in random_state(layer, 2))

    y_TBH, last = layer(x_TBI, state)
    (y_TBH.sum() + sum(part.sum() for part in last)).backward()

    for tensor in (*layer.parameters(), x_TBI, *state):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0
