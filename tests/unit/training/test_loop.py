"""One training step and one validation."""

from __future__ import annotations

import pytest
import torch

from tests.unit.training.support import random_ids, run_config
from training.corpus import Windows
from training.errors import DivergedError
from training.loop import Stepper, build_optimizer, learning_rate, mean_loss
from training.model import LanguageModel, flatten


def stepper(**changes: object) -> Stepper:
    """A stepper over a fresh model."""
    config = run_config(**changes)
    torch.manual_seed(config.seed)
    return Stepper(LanguageModel(config), config, total_steps=10)


def window(start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets for four streams that each count upwards."""
    ids_NB = (start + torch.arange(7)[:, None] + torch.arange(0, 12, 3)) % 17
    return ids_NB[:-1], ids_NB[1:]


def weights(model: LanguageModel) -> torch.Tensor:
    """All weights in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_step_learns() -> None:
    """Repeating a window brings its loss down."""
    learner = stepper(schedule="constant", learning_rate=0.05)

    losses = [learner.step(index, *window()) for index in range(20)]

    assert losses[-1] < 0.7 * losses[0]


def test_a_step_sets_the_schedules_rate() -> None:
    """The optimiser's rate is the schedule's at that step, for all weights."""
    learner = stepper(schedule="cosine")

    learner.step(7, *window())

    wanted = learning_rate(learner.config, 7, 10)
    assert [wanted, wanted] == [group["lr"] for group in learner.optimizer.param_groups]


def test_the_state_is_carried_from_window_to_window() -> None:
    """The second window is read from the state that the first one left."""
    learner = stepper(optimizer="sgd", learning_rate=1e-9)
    first, second = window(), window(6)

    learner.step(0, *first)
    learner.step(1, *second)
    whole, _ = learner.model(torch.cat([first[0], second[0]]), learner.model.initial_state(4))

    torch.testing.assert_close(flatten(learner.state)[0], whole[-1], atol=1e-5, rtol=0)


def test_clipping_bounds_the_gradient() -> None:
    """With plain SGD at rate 1 no step moves the weights further than the clip's norm."""
    moves = {}
    for clip in (1e-3, 1e6):
        learner = stepper(
            optimizer="sgd", schedule="constant", learning_rate=1.0, clip=clip, weight_decay=0.0
        )
        before = weights(learner.model)
        learner.step(0, *window())
        moves[clip] = (weights(learner.model) - before).norm().item()

    assert 1e-3 == pytest.approx(moves[1e-3], rel=1e-3)
    assert moves[1e6] > 0.1


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    """A NaN in the weights is reported with its step, and nothing is learned from it."""
    learner = stepper()
    with torch.no_grad():
        learner.model.output_bias[0] = float("nan")
    before = weights(learner.model)

    with pytest.raises(DivergedError, match=r"the loss is nan at step 3: lower learning_rate"):
        learner.step(3, *window())

    assert torch.equal(before.nan_to_num(), weights(learner.model).nan_to_num())


def test_forgetting_makes_streams_start_from_nothing() -> None:
    """At a chance of almost 1 every window is read as if nothing had come before it."""
    forgetful, fresh = stepper(forget=0.9999999), stepper(forget=0.0)
    for learner in (forgetful, fresh):
        learner.state = tuple(
            tuple(torch.ones_like(part) for part in layer) for layer in learner.state
        )
    fresh.state = fresh.model.initial_state(4)

    assert fresh.step(0, *window()) == forgetful.step(0, *window())


def test_without_forgetting_no_state_is_lost() -> None:
    """At a chance of 0 the state that is there counts, and no random number is drawn."""
    learner, fresh = stepper(forget=0.0), stepper(forget=0.0)
    learner.state = tuple(tuple(part + 1 for part in layer) for layer in learner.state)
    chance = torch.get_rng_state()

    assert learner.step(0, *window()) != fresh.step(0, *window())
    assert torch.equal(chance, torch.get_rng_state())


def test_forgetting_takes_its_share_of_the_streams() -> None:
    """Over many windows about the given share of the streams is zeroed, whole streams only."""
    learner = stepper(forget=0.25, batch=400)
    torch.manual_seed(1)
    state = tuple(tuple(part + 1 for part in layer) for layer in learner.model.initial_state(400))

    (h_BH,) = learner._partly_forgotten(state)[0]

    zeroed = (h_BH == 0).all(dim=1)
    assert 60 <= int(zeroed.sum()) <= 140
    assert bool((h_BH[~zeroed] == 1).all())


def test_weight_decay_shrinks_matrices_only() -> None:
    """Biases and peepholes are left alone; every weight is in exactly one group."""
    config = run_config(cell="peephole_lstm", weight_decay=0.5)
    model = LanguageModel(config)

    decayed, rest = build_optimizer(model, config).param_groups

    assert (0.5, 0.0) == (decayed["weight_decay"], rest["weight_decay"])
    alone = {name for name, p in model.named_parameters() if any(p is q for q in rest["params"])}
    biases = {name for name, _ in model.named_parameters() if "bias" in name or "peephole" in name}
    assert biases == alone
    assert len(list(model.parameters())) == len(decayed["params"]) + len(rest["params"])


def test_a_validation_weighs_every_token_alike() -> None:
    """The mean is over all tokens with the state carried, a shorter last window included."""
    model = LanguageModel(run_config(dropout_output=0.5))
    ids_NB = random_ids(24, 3, vocabulary=17)
    hidden, _ = model(ids_NB[:-1], model.initial_state(3))
    with torch.no_grad():
        model.eval()
        wanted = model.loss(hidden, ids_NB[1:], torch.float32).item()
        model.train()

    assert wanted == pytest.approx(mean_loss(model, Windows(ids_NB, 10)), rel=1e-5)
    assert model.training


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_the_precision_is_the_configurations(precision: str, dtype: torch.dtype) -> None:
    """Matrix products run in the type that was asked for, and a step in it learns."""
    learner = stepper(precision=precision, schedule="constant", learning_rate=0.05)

    losses = [learner.step(index, *window()) for index in range(20)]

    assert dtype == learner.dtype
    assert losses[-1] < 0.7 * losses[0]
    assert {torch.float32} == {part.dtype for part in learner.model.parameters()}
