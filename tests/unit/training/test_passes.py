"""The peephole LSTM's own backward pass, and what it becomes without peepholes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.cells import PeepholeLSTM


def layer_and_inputs(
    length: int, batch: int, *, zero_state: bool = False
) -> tuple[PeepholeLSTM, torch.Tensor, list[torch.Tensor]]:
    """A double-precision layer of 3 units over 2 inputs, with an input and a state."""
    torch.manual_seed(length * 10 + batch)
    layer = PeepholeLSTM(2, 3).double()
    state = [torch.randn(batch, 3).double() for _ in range(2)]
    if zero_state:
        state = [torch.zeros_like(part) for part in state]
    return layer, torch.randn(length, batch, 2).double(), state


@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (1, 2), (5, 1), (4, 3)])
def test_the_backward_pass_is_the_derivative(length, batch, zero_state) -> None:
    """Gradients for input, state and every weight agree with finite differences."""
    layer, x_TBI, state = layer_and_inputs(length, batch, zero_state=zero_state)
    names = [name for name, _ in layer.named_parameters()]

    def forward(x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, *weights: torch.Tensor):
        values = dict(zip(names, weights, strict=True))
        y_TBH, last = torch.func.functional_call(layer, values, (x, (h, c)))
        return y_TBH, *last

    arguments = [x_TBI, *state, *(weight.detach() for weight in layer.parameters())]
    arguments = [argument.clone().requires_grad_() for argument in arguments]

    assert torch.autograd.gradcheck(forward, arguments)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_result_has_its_own_gradient(part: int) -> None:
    """A loss on the outputs, on the last h or on the last c alone agrees with autograd's own."""
    layer, x_TBI, state = layer_and_inputs(4, 2)
    weights = list(layer.parameters())

    def gradients(results: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(results[part].square().sum(), weights)

    y_TBH, last = layer(x_TBI, tuple(state))
    fast = gradients((y_TBH, *last))

    torch.testing.assert_close(fast, gradients(_eager(layer, x_TBI, state)), atol=1e-12, rtol=1e-9)


def _eager(
    layer: PeepholeLSTM, x_TBI: torch.Tensor, state: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """The same cell as a loop that autograd differentiates by itself."""
    (h, c), (p_i, p_f, p_o), outputs = state, layer.peephole, []
    for x in x_TBI:
        a = x @ layer.weight_ih.t() + layer.bias_ih + h @ layer.weight_hh.t() + layer.bias_hh
        i, f, g, o = a.chunk(4, dim=1)
        new = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        h, c = torch.sigmoid(o + p_o * new) * torch.tanh(new), new
        outputs.append(h)
    return torch.stack(outputs), h, c


def test_without_peepholes_it_is_torchs_lstm() -> None:
    """With peepholes of zero, outputs, state and gradients are those of nn.LSTM."""
    layer, x_TBI, (h, c) = layer_and_inputs(6, 3)
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


def test_each_peephole_counts() -> None:
    """Changing any one of the three peepholes changes the outputs."""
    layer, x_TBI, state = layer_and_inputs(3, 1)
    before, _ = layer(x_TBI, tuple(state))

    for gate in range(3):
        with torch.no_grad():
            layer.peephole[gate] += 1
            after, _ = layer(x_TBI, tuple(state))
            layer.peephole[gate] -= 1
        assert not torch.allclose(before, after)


def test_the_state_handed_in_is_left_alone() -> None:
    """A layer reads its state and input without writing to them."""
    layer, x_TBI, state = layer_and_inputs(3, 2)
    copies = [tensor.clone() for tensor in (x_TBI, *state)]

    y_TBH, _ = layer(x_TBI, tuple(state))
    y_TBH.sum().backward()

    for copy, tensor in zip(copies, (x_TBI, *state), strict=True):
        assert torch.equal(copy, tensor)


def test_half_precision_training_keeps_the_cell_in_float32() -> None:
    """Under bfloat16 autocast the cell computes in float32, forward and backward."""
    layer, x_TBI, state = layer_and_inputs(3, 2)
    layer, x_TBI, state = layer.float(), x_TBI.float(), tuple(part.float() for part in state)
    wanted, _ = layer(x_TBI, state)

    with torch.autocast("cpu", torch.bfloat16):
        y_TBH, last = layer(x_TBI.bfloat16(), state)
    y_TBH.sum().backward()

    assert {torch.float32} == {tensor.dtype for tensor in (y_TBH, *last)}
    torch.testing.assert_close(y_TBH, wanted, atol=2e-2, rtol=0)
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())
