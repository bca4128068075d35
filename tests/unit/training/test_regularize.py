"""Dropout at the grain it says, and penalties that are what they say."""

from __future__ import annotations

import pytest
import torch

from tests.unit.training.support import fresh_model, random_ids
from training.regularize import (
    activation_penalty,
    drop_weights,
    embedding_with_dropout,
    locked_dropout,
    zipf_shares,
)


def test_a_locked_mask_is_the_same_for_every_token() -> None:
    """Over a window one mask a stream; kept features are scaled up, streams differ."""
    torch.manual_seed(0)
    kept_TBI = locked_dropout(torch.ones(5, 3, 200), 0.4)

    torch.testing.assert_close(kept_TBI.unique(), torch.tensor([0.0, 1 / 0.6]))
    assert all(torch.equal(kept_TBI[0], step) for step in kept_TBI)
    assert not torch.equal(kept_TBI[0, 0], kept_TBI[0, 1])
    assert 0.3 < (kept_TBI[0] == 0).float().mean() < 0.5


def test_dropped_words_are_gone_wherever_they_stand() -> None:
    """A word is zero at all its places of a window, or at none."""
    torch.manual_seed(1)
    ids_TB = random_ids(40, 2, vocabulary=20)
    x_TBE = embedding_with_dropout(ids_TB, torch.ones(20, 6), 0.5)

    for word in ids_TB.unique():
        places = x_TBE[ids_TB == word]
        assert torch.equal(places, places[:1].expand_as(places))
    assert 0 < (x_TBE == 0).float().mean() < 1


def test_weights_are_dropped_singly() -> None:
    """About the rate of them, the rest scaled up."""
    torch.manual_seed(0)
    dropped = drop_weights(torch.ones(100, 100), 0.25)

    assert 0.22 < (dropped == 0).float().mean() < 0.28
    assert torch.allclose(dropped.max(), torch.tensor(1 / 0.75))


def test_the_penalty_is_on_size_and_change() -> None:
    """AR is a mean square of what the head sees, TAR one of the differences before dropout."""
    hidden_TBH = torch.tensor([[[1.0, 2.0]], [[3.0, 2.0]]])
    dropped_TBH = torch.tensor([[[0.0, 4.0]], [[0.0, 4.0]]])

    assert 2 * 8.0 == activation_penalty(hidden_TBH, dropped_TBH, 2.0, 0.0).item()
    assert 3 * 2.0 == activation_penalty(hidden_TBH, dropped_TBH, 0.0, 3.0).item()
    assert 22.0 == activation_penalty(hidden_TBH, dropped_TBH, 2.0, 3.0).item()
    assert 0.0 == activation_penalty(hidden_TBH[:1], dropped_TBH[:1], 0.0, 3.0).item()


def test_zipf_falls_with_the_rank_and_sums_to_one() -> None:
    """The first id is expected most often."""
    shares_V = zipf_shares(1000)
    assert torch.allclose(shares_V.sum(), torch.tensor(1.0))
    assert (shares_V.diff() < 0).all()


@pytest.mark.parametrize("mask", ["token", "window"])
@pytest.mark.parametrize(
    "kind", ["dropout_embedding", "dropout_layers", "dropout_output", "dropout_words"]
)
def test_a_model_drops_in_training_only(kind: str, mask: str) -> None:
    """Two passes differ in training; in evaluation they are those of a model without dropout."""
    plain = fresh_model(layers=2)
    dropping = fresh_model(layers=2, dropout_mask=mask, **{kind: 0.5})
    ids_TB = random_ids(6, 3)

    def run(model: torch.nn.Module) -> torch.Tensor:
        return model.drop_output(model(ids_TB, model.initial_state(3))[0])

    assert not torch.equal(run(dropping), run(dropping))
    assert torch.equal(run(plain.eval()), run(dropping.eval()))


@pytest.mark.parametrize("cell", ["lstm", "cifg_peephole_lstm", "gru_reset_before", "rnn_tanh"])
def test_dropped_recurrent_weights_still_learn(cell: str) -> None:
    """Weight drop differs from window to window, leaves evaluation alone, and passes gradients."""
    plain, dropping = fresh_model(cell=cell), fresh_model(cell=cell, dropout_weights=0.5)
    ids_TB = random_ids(6, 3)

    def run(model: torch.nn.Module) -> torch.Tensor:
        return model(ids_TB, model.initial_state(3))[0]

    assert not torch.equal(run(dropping), run(dropping))
    run(dropping).sum().backward()
    assert dropping.layers[0].weight_hh.grad.abs().sum() > 0
    assert torch.equal(run(plain.eval()), run(dropping.eval()))
