"""The language model: its heads, its layers, and the state between calls."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.unit.training.support import fresh_model, random_ids
from training.config import CELLS
from training.model import LanguageModel, detach, flatten, forget

SHAPES = [(1, True), (1, False), (2, True), (2, False)]


def read(model: LanguageModel, ids_TB: torch.Tensor) -> torch.Tensor:
    """The hidden vectors of a text read from a new state."""
    return model(ids_TB, model.initial_state(ids_TB.shape[1]))[0]


def test_a_tied_head_is_the_embedding() -> None:
    """Tied, the output matrix is the embedding itself, reached through a projection H -> E."""
    model = fresh_model(tied=True)

    assert model.output_weight() is model.embedding
    assert (4, 5) == tuple(model.features(torch.zeros(4, 7)).shape)


def test_an_untied_head_is_a_matrix_of_its_own() -> None:
    """Untied, hidden vectors meet a matrix H -> V directly."""
    model = fresh_model(tied=False)
    hidden = torch.randn(4, 7)

    assert (11, 7) == tuple(model.output_weight().shape)
    assert torch.equal(hidden, model.features(hidden))


@pytest.mark.parametrize(("tied", "head"), [(True, 7 * 5 + 5), (False, 11 * 7)])
def test_shared_weights_are_counted_once(tied, head) -> None:
    """The number of weights is embedding, layer, head and output bias."""
    layer = 4 * 7 * (5 + 7 + 2)

    assert 11 * 5 + layer + head + 11 == fresh_model(tied=tied).parameter_count()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "tied"), SHAPES)
def test_reading_token_by_token_is_reading_at_once(cell, layers, tied) -> None:
    """Stepping with the state carried gives the hidden vectors of one long window."""
    model = fresh_model(cell=cell, layers=layers, tied=tied)
    ids_TB, state, stepped = random_ids(9, 3), model.initial_state(3), []

    for ids_1B in ids_TB.split(1):
        hidden_1BH, state = model(ids_1B, state)
        stepped.append(hidden_1BH)
    whole, last = model(ids_TB, model.initial_state(3))

    torch.testing.assert_close(torch.cat(stepped), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-6, rtol=0)


def test_the_state_matters() -> None:
    """The same token is read differently after another text."""
    model = fresh_model()
    states = [model(random_ids(4, 1, seed=seed), model.initial_state(1))[1] for seed in (1, 2)]

    hidden = [model(torch.tensor([[3]]), state)[0] for state in states]

    assert not torch.allclose(hidden[0], hidden[1])


def test_streams_do_not_touch_each_other() -> None:
    """A stream's hidden vectors do not depend on its neighbours."""
    model = fresh_model(layers=2)
    ids_TB = random_ids(5, 3)
    other = ids_TB.clone()
    other[:, 1:] = (other[:, 1:] + 1) % 11

    torch.testing.assert_close(read(model, ids_TB)[:, 0], read(model, other)[:, 0])


def test_nothing_later_is_looked_at() -> None:
    """The hidden vector at a token does not depend on the tokens behind it."""
    model = fresh_model()
    ids_TB = random_ids(6, 1)
    other = ids_TB.clone()
    other[4:] = (other[4:] + 1) % 11

    torch.testing.assert_close(read(model, ids_TB)[:4], read(model, other)[:4])
    assert not torch.allclose(read(model, ids_TB)[4], read(model, other)[4])


@pytest.mark.parametrize(("layers", "tied"), SHAPES)
def test_the_loss_is_that_of_the_log_probabilities(layers, tied) -> None:
    """Training's loss is the mean of minus the log-probability of each target."""
    model = fresh_model(layers=layers, tied=tied).eval()
    hidden_TBH, targets_TB = read(model, random_ids(6, 2)), random_ids(6, 2, seed=5)

    loss = model.loss(hidden_TBH, targets_TB, torch.float32)
    log_probs = model.log_probs(hidden_TBH)

    torch.testing.assert_close(loss, cross_entropy(log_probs.flatten(0, 1), targets_TB.flatten()))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(6, 2))


def test_a_detached_state_cuts_the_gradient() -> None:
    """Back-propagation ends at the window: what came before gets no gradient, yet is remembered."""
    model = fresh_model()
    _, state = model(random_ids(4, 2), model.initial_state(2))
    cut = detach(state)

    assert all(part.requires_grad for part in flatten(state))
    assert not any(part.requires_grad for part in flatten(cut))
    for before, after in zip(flatten(state), flatten(cut), strict=True):
        assert torch.equal(before, after)
    only_here = torch.tensor([[7, 7]])
    hidden, _ = model(only_here, cut)
    (gradient,) = torch.autograd.grad(hidden.sum(), [model.embedding])
    assert [7] == gradient.abs().sum(1).nonzero().flatten().tolist()


def test_forgetting_zeroes_whole_streams() -> None:
    """Only the streams that are not kept lose their state, in every layer, h and c."""
    model = fresh_model(layers=2)
    _, state = model(random_ids(4, 3), model.initial_state(3))

    forgotten = forget(state, torch.tensor([1.0, 0.0, 1.0]))

    assert 4 == len(flatten(forgotten))
    for before, after in zip(flatten(state), flatten(forgotten), strict=True):
        assert torch.equal(before[[0, 2]], after[[0, 2]])
        assert not after[1].any()


@pytest.mark.parametrize("place", ["dropout_embedding", "dropout_layers", "dropout_output"])
def test_dropout_is_for_training_only(place: str) -> None:
    """Each dropout changes the training loss from call to call, and never an evaluation's."""
    model = fresh_model(layers=2, **{place: 0.5})
    ids_TB, targets_TB = random_ids(6, 2), random_ids(6, 2, seed=1)

    def loss() -> float:
        seen_TBH = model.drop_output(read(model, ids_TB))
        return model.loss(seen_TBH, targets_TB, torch.float32).item()

    assert loss() != loss()
    model.eval()
    assert loss() == loss()


@pytest.mark.parametrize("tied", [True, False])
def test_every_weight_learns(tied) -> None:
    """A gradient reaches every weight of a two-layer model."""
    model = fresh_model(layers=2, cell="peephole_lstm", tied=tied)

    model.loss(read(model, random_ids(6, 2)), random_ids(6, 2, seed=1), torch.float32).backward()

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
