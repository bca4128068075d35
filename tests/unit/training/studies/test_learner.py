"""How a small net learns: it stops when it is done, and survives what makes others crash."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from training.cells import build_layer
from training.studies.learner import Net, Training, examine, learn

TRAINING = Training(max_steps=7, learning_rate=1e-2, solved_below=-1.0, check_every=3)
INPUTS_TBI = torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(1))


def fresh_net(cell: str = "lstm", **how: str) -> Net:
    """A net of 6 units and a read-out of 1."""
    torch.manual_seed(1)
    return Net(build_layer(cell, 2, 6, **how), 1)


def loss_of(net: Net, scale: float = 1.0) -> Tensor:
    """How far the read-outs are from a half."""
    read_B1 = net.at_end(INPUTS_TBI)
    return scale * mse_loss(read_B1, torch.full_like(read_B1, 0.5))


def test_it_looks_now_and_then_and_at_the_end() -> None:
    """Every third step and after the last."""
    net = fresh_net()

    learned = learn(net, TRAINING, lambda: loss_of(net), lambda: loss_of(net).item())

    assert [3, 6, 7] == [step for step, _ in learned.curve]
    assert (7, False, False) == (learned.steps, learned.solved, learned.diverged)
    assert learned.error == loss_of(net).item() < learned.curve[0][1]


def test_it_stops_when_the_task_is_solved() -> None:
    """At the first look that finds the error below the threshold."""
    errors = iter([0.5, 0.05, 0.01])
    net = fresh_net()

    learned = learn(
        net, replace(TRAINING, solved_below=0.1), lambda: loss_of(net), lambda: next(errors)
    )

    assert (6, True, 0.05) == (learned.steps, learned.solved, learned.error)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_as_diverged(bad: float) -> None:
    """At that very step, without an exception."""
    net = fresh_net()
    scales = iter([1.0, 1.0, bad])

    learned = learn(net, TRAINING, lambda: loss_of(net, next(scales)), lambda: loss_of(net).item())

    assert (3, True, False) == (learned.steps, learned.diverged, learned.solved)
    assert math.isinf(learned.error)
    assert math.isfinite(learned.largest_gradient)


def test_a_net_that_explodes_is_counted_as_diverged() -> None:
    """A ReLU net of large weights at a huge learning rate."""
    net = fresh_net("rnn_relu")
    with torch.no_grad():
        net.layer.weight_hh.mul_(1e15)

    learned = learn(
        net, replace(TRAINING, clip=None), lambda: loss_of(net), lambda: loss_of(net).item()
    )

    assert learned.diverged
    assert not learned.solved


def test_an_error_that_is_no_number_counts_as_diverged() -> None:
    """Also where loss and gradient were fine."""
    net = fresh_net()

    learned = learn(net, TRAINING, lambda: loss_of(net), lambda: math.nan)

    assert (True, False) == (learned.diverged, learned.solved)


def test_the_clip_bounds_a_step_and_not_what_is_reported() -> None:
    """Scaling a clipped loss up leaves the weights as they were; the norm told grows with it."""
    norms, weights = [], []
    for scale in (1e3, 1e6):
        net = fresh_net()
        learned = learn(
            net,
            replace(TRAINING, max_steps=1, clip=1e-3),
            lambda net=net, scale=scale: loss_of(net, scale),
            lambda: 1.0,
        )
        norms.append(learned.largest_gradient)
        weights.append(torch.cat([weight.flatten() for weight in net.parameters()]))

    torch.testing.assert_close(weights[0], weights[1])
    assert norms[1] == pytest.approx(1e3 * norms[0], rel=1e-3)


def test_without_a_clip_the_gradient_is_left_alone() -> None:
    """Of two losses, the hundredfold one has the hundredfold gradient when Adam sees it."""
    gradients = []
    for scale in (1.0, 100.0):
        net = fresh_net()
        learn(
            net,
            replace(TRAINING, max_steps=1, clip=None),
            lambda net=net, scale=scale: loss_of(net, scale),
            lambda: 1.0,
        )
        gradients.append(net.read_out.weight.grad)

    torch.testing.assert_close(100 * gradients[0], gradients[1])


def test_the_same_seed_learns_the_same() -> None:
    """Error by error."""
    curves = []
    for _ in range(2):
        net = fresh_net("gru")
        learned = learn(
            net, TRAINING, lambda net=net: loss_of(net), lambda net=net: loss_of(net).item()
        )
        curves.append(learned.curve)

    assert curves[0] == curves[1]


def test_a_net_is_examined_as_it_would_be_used() -> None:
    """Batch normalisation with its running figures, no gradients, and back to training after."""
    net = fresh_net("rnn_tanh", normalization="batch")
    seen = []

    def error() -> float:
        seen.append((net.training, torch.is_grad_enabled(), net.at_end(INPUTS_TBI).requires_grad))
        return 1.0

    assert examine(net, error) == 1.0
    assert [(False, False, False)] == seen
    assert net.training


def test_read_outs_go_on_from_a_state() -> None:
    """Two halves with the state handed on are the whole."""
    net = fresh_net("peephole_lstm")

    whole_TBO, _ = net(INPUTS_TBI)
    first_TBO, state = net(INPUTS_TBI[:2])
    second_TBO, _ = net(INPUTS_TBI[2:], state)

    torch.testing.assert_close(whole_TBO, torch.cat([first_TBO, second_TBO]))
    torch.testing.assert_close(whole_TBO[-1], net.at_end(INPUTS_TBI))
