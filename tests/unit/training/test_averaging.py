"""Averages of the weights: what they hold, when they begin, and that they leave no trace."""

from __future__ import annotations

import torch
from torch import nn

from tests.unit.training.support import run_config
from training.averaging import Averager


def walk(averager: Averager, model: nn.Linear, values: list[float]) -> None:
    """Let the weight be each of the values behind a step."""
    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
        averager.update()


def one_weight() -> nn.Linear:
    """A model of a single weight."""
    return nn.Linear(1, 1, bias=False)


def test_without_an_average_the_model_stands_for_itself() -> None:
    """Nothing is kept, nothing is swapped."""
    model = one_weight()
    averager = Averager(model, run_config())
    walk(averager, model, [1.0, 2.0])

    with averager.swapped_in():
        assert 2.0 == model.weight.item()
    assert not averager.active


def test_ema_is_the_plain_mean_at_first_and_forgets_later() -> None:
    """(1 - decay) of each step's weights, once that is more than a share of the mean."""
    model = one_weight()
    averager = Averager(model, run_config(average="ema", average_decay=0.75))
    walk(averager, model, [1.0, 3.0])
    assert 2.0 == averager.mean["weight"].item()

    walk(averager, model, [2.0, 2.0, 6.0])
    assert 0.75 * 2.0 + 0.25 * 6.0 == averager.mean["weight"].item()


def test_the_model_gets_its_own_weights_back() -> None:
    """The average is there within, and only there."""
    model = one_weight()
    averager = Averager(model, run_config(average="ema"))
    walk(averager, model, [1.0, 3.0])

    with averager.swapped_in():
        assert 2.0 == model.weight.item()
    assert 3.0 == model.weight.item()


def test_nt_asgd_begins_when_validation_stalls() -> None:
    """Not while losses fall; from then on it is the mean of every step's weights."""
    model = one_weight()
    averager = Averager(model, run_config(average="nt_asgd", average_patience=2))
    for loss in (5.0, 4.0, 3.0, 2.9):
        averager.validated(loss)
        walk(averager, model, [9.0])
    assert not averager.active

    averager.validated(4.5)
    walk(averager, model, [1.0, 2.0, 6.0])

    assert 3.0 == averager.mean["weight"].item()
