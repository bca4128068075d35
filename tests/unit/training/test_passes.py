"""The hand-written passes: their gradients, and what they become without peepholes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.cells import CELLS
from training.cells import Layer, build_layer

PASSES = ("peephole_lstm", "cifg_lstm", "cifg_peephole_lstm", "gru_reset_before")
LSTMS = PASSES[:3]
Tensors = list[torch.Tensor]


def layer_and_inputs(
    cell: str, length: int, batch: int, *, zero_state: bool = False
) -> tuple[Layer, torch.Tensor, Tensors]:
    """A double-precision layer of 3 units over 2 inputs, with an input and a state."""
    torch.manual_seed(length * 10 + batch)
    layer = build_layer(cell, 2, 3).double()
    state = [torch.randn_like(part) for part in layer.initial_state(batch)]
    if zero_state:
        state = [torch.zeros_like(part) for part in state]
    return layer, torch.randn(length, batch, 2).double(), state


@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (1, 2), (5, 1), (4, 3)])
@pytest.mark.parametrize("cell", PASSES)
def test_the_backward_pass_is_the_derivative(cell: str, length, batch, zero_state) -> None:
    """Gradients for input, state and every weight agree with finite differences."""
    layer, x_TBI, state = layer_and_inputs(cell, length, batch, zero_state=zero_state)
    names = [name for name, _ in layer.named_parameters()]

    def forward(x: torch.Tensor, *rest: torch.Tensor):
        state, weights = rest[: -len(names)], rest[-len(names) :]
        values = dict(zip(names, weights, strict=True))
        y_TBH, last = torch.func.functional_call(layer, values, (x, state))
        return y_TBH, *last

    arguments = [x_TBI, *state, *(weight.detach() for weight in layer.parameters())]
    arguments = [argument.clone().requires_grad_() for argument in arguments]

    assert torch.autograd.gradcheck(forward, arguments)


@pytest.mark.parametrize(
    ("cell", "part"),
    [(cell, part) for cell in PASSES for part in range(3 if cell in LSTMS else 2)],
)
def test_each_result_has_its_own_gradient(cell: str, part: int) -> None:
    """A loss on the outputs, on the last h or on the last c alone agrees with autograd's own."""
    layer, x_TBI, state = layer_and_inputs(cell, 4, 2)
    weights = list(layer.parameters())

    def gradients(results: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor | None, ...]:
        loss = results[part].square().sum()
        return torch.autograd.grad(loss, weights)

    y_TBH, last = layer(x_TBI, tuple(state))
    eager = _eager(layer, x_TBI, state)

    torch.testing.assert_close((y_TBH, *last), eager, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(gradients((y_TBH, *last)), gradients(eager), atol=1e-12, rtol=1e-9)


def _eager(layer: Layer, x_TBI: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, ...]:
    """The same cell as a loop that autograd differentiates by itself."""
    step = _gru_step if layer.cell == "gru_reset_before" else _lstm_step
    outputs = []
    for x in x_TBI:
        state = step(layer, x @ layer.weight_ih.t() + layer.bias_ih + layer.bias_hh, *state)
        outputs.append(state[0])
    return torch.stack(outputs), *state


def _lstm_step(layer: Layer, a: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> Tensors:
    parts = (a + h @ layer.weight_hh.t()).chunk(len(layer.gates), dim=1)
    sums = dict(zip(layer.gates, parts, strict=True))
    rows = () if layer.peephole is None else layer.peephole
    sees = dict(zip(CELLS[layer.cell].peepholes, rows, strict=True))
    i = torch.sigmoid(sums["i"] + sees.get("i", 0) * c)
    f = torch.sigmoid(sums["f"] + sees.get("f", 0) * c) if "f" in sums else 1 - i
    new = f * c + i * torch.tanh(sums["g"])
    return [torch.sigmoid(sums["o"] + sees.get("o", 0) * new) * torch.tanh(new), new]


def _gru_step(layer: Layer, a: torch.Tensor, h: torch.Tensor) -> Tensors:
    a_r, a_z, a_n = a.chunk(3, dim=1)
    R_r, R_z, R_n = layer.weight_hh.chunk(3)
    r, z = torch.sigmoid(a_r + h @ R_r.t()), torch.sigmoid(a_z + h @ R_z.t())
    return [(1 - z) * torch.tanh(a_n + (r * h) @ R_n.t()) + z * h]


def test_without_peepholes_it_is_torchs_lstm() -> None:
    """With peepholes of zero, outputs, state and gradients are those of nn.LSTM."""
    layer, x_TBI, (h, c) = layer_and_inputs("peephole_lstm", 6, 3)
    torchs = nn.LSTM(2, 3).double()
    shared = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    with torch.no_grad():
        layer.peephole.zero_()
        for name in shared:
            getattr(torchs, f"{name}_l0").copy_(getattr(layer, name))

    y_TBH, last = layer(x_TBI, (h, c))
    wanted_y, wanted_last = torchs(x_TBI, (h[None], c[None]))

    torch.testing.assert_close(y_TBH, wanted_y)
    torch.testing.assert_close(last, tuple(part[0] for part in wanted_last))
    ours = torch.autograd.grad(y_TBH.sin().sum(), [getattr(layer, name) for name in shared])
    theirs = torch.autograd.grad(
        wanted_y.sin().sum(), [getattr(torchs, f"{name}_l0") for name in shared]
    )
    torch.testing.assert_close(ours, theirs)


def test_a_coupled_cell_without_peepholes_is_one_with_zeros() -> None:
    """With peepholes of zero, outputs and gradients are those of the CIFG LSTM."""
    layer, x_TBI, state = layer_and_inputs("cifg_peephole_lstm", 6, 3)
    plain = build_layer("cifg_lstm", 2, 3).double()
    with torch.no_grad():
        layer.peephole.zero_()
        for name, parameter in plain.named_parameters():
            parameter.copy_(getattr(layer, name))

    y_TBH, last = layer(x_TBI, tuple(state))
    plain_y, plain_last = plain(x_TBI, tuple(state))

    assert torch.equal(plain_y, y_TBH)
    assert all(map(torch.equal, plain_last, last))
    names = [name for name, _ in plain.named_parameters()]
    ours = torch.autograd.grad(y_TBH.sin().sum(), [getattr(layer, name) for name in names])
    theirs = torch.autograd.grad(plain_y.sin().sum(), list(plain.parameters()))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("cell", ["peephole_lstm", "cifg_peephole_lstm"])
def test_each_peephole_counts(cell: str) -> None:
    """Changing any one of the peepholes changes the outputs."""
    layer, x_TBI, state = layer_and_inputs(cell, 3, 1)
    before, _ = layer(x_TBI, tuple(state))

    for gate in range(len(layer.peephole)):
        with torch.no_grad():
            layer.peephole[gate] += 1
            after, _ = layer(x_TBI, tuple(state))
            layer.peephole[gate] -= 1
        assert not torch.allclose(before, after)


@pytest.mark.parametrize("cell", PASSES)
def test_what_is_handed_in_is_left_alone(cell: str) -> None:
    """A layer reads its state, input and weights without writing to them."""
    layer, x_TBI, state = layer_and_inputs(cell, 3, 2)
    handed = [x_TBI, *state, *layer.parameters()]
    copies = [tensor.detach().clone() for tensor in handed]

    y_TBH, last = layer(x_TBI, tuple(state))
    (y_TBH.sum() + sum(part.sum() for part in last)).backward()

    for copy, tensor in zip(copies, handed, strict=True):
        assert torch.equal(copy, tensor)


@pytest.mark.parametrize("cell", PASSES)
def test_the_last_state_is_a_copy(cell: str) -> None:
    """Who writes into the state that came out changes neither outputs nor gradients."""
    layer, x_TBI, state = layer_and_inputs(cell, 3, 2)
    y_TBH, last = layer(x_TBI, tuple(state))
    wanted = y_TBH.detach().clone()
    gradient = torch.autograd.grad(y_TBH.sum(), layer.weight_hh, retain_graph=True)

    for part in last:
        part.detach().fill_(7.0)

    assert torch.equal(wanted, y_TBH)
    assert torch.equal(gradient[0], torch.autograd.grad(y_TBH.sum(), layer.weight_hh)[0])


@pytest.mark.parametrize("cell", PASSES)
def test_half_precision_training_keeps_the_cell_in_float32(cell: str) -> None:
    """Under bfloat16 autocast only products are halved: all that comes out is float32, and near."""
    layer, x_TBI, state = layer_and_inputs(cell, 3, 2)
    layer, x_TBI, state = layer.float(), x_TBI.float(), tuple(part.float() for part in state)
    wanted, _ = layer(x_TBI, state)
    exact = torch.autograd.grad(wanted.sum(), list(layer.parameters()))

    with torch.autocast("cpu", torch.bfloat16):
        y_TBH, last = layer(x_TBI.bfloat16(), state)
    y_TBH.sum().backward()

    assert {torch.float32} == {tensor.dtype for tensor in (y_TBH, *last)}
    torch.testing.assert_close(y_TBH, wanted, atol=2e-2, rtol=0)
    assert not torch.equal(y_TBH, wanted)
    for weight, gradient in zip(layer.parameters(), exact, strict=True):
        assert weight.grad.dtype == torch.float32
        torch.testing.assert_close(weight.grad, gradient, atol=0.15, rtol=0.05)
