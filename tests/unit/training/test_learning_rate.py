"""The learning rate over a run, for each schedule."""

from __future__ import annotations

import pytest

from tests.unit.training.support import run_config
from training.config import RunConfig
from training.loop import learning_rate, softmax_samples


def test_one_cycle_rises_in_a_line_and_falls_in_a_cosine() -> None:
    """From 1/25 to the full rate over the warm-up, then by half a cosine to 1/1000."""
    config = RunConfig(schedule="one_cycle", warmup=0.2, learning_rate=1.0)

    rates = [learning_rate(config, step, 100) for step in range(101)]

    assert pytest.approx(0.04) == rates[0]
    assert pytest.approx(0.52) == rates[10]
    assert pytest.approx(1.0) == rates[20] == max(rates)
    assert pytest.approx(0.8537, abs=1e-4) == rates[40]
    assert pytest.approx(0.5005) == rates[60]
    assert pytest.approx(0.001) == rates[100]
    assert sorted(rates[:21]) == rates[:21]
    assert sorted(rates[20:], reverse=True) == rates[20:]


def test_a_cosine_begins_at_the_top() -> None:
    """Without the rise, the rate falls from the first step on, whatever the warm-up says."""
    config = RunConfig(schedule="cosine", warmup=0.5, learning_rate=2.0)

    rates = [learning_rate(config, step, 50) for step in range(51)]

    assert pytest.approx(2.0) == rates[0]
    assert pytest.approx(1.001) == rates[25]
    assert pytest.approx(0.002) == rates[50]
    assert sorted(rates, reverse=True) == rates


def test_a_constant_rate_stays() -> None:
    """The rate is the same at every step."""
    config = RunConfig(schedule="constant", learning_rate=0.3)

    assert {0.3} == {learning_rate(config, step, 9) for step in range(10)}


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_a_run_of_one_step_has_a_rate(schedule: str) -> None:
    """The shortest run, with or without a warm-up, gets a rate above zero."""
    for warmup in (0.0, 0.5):
        assert learning_rate(run_config(schedule=schedule, warmup=warmup), 0, 1) > 0


@pytest.mark.parametrize(
    ("whole", "expected"), [(0, [9, 9, 9, 9]), (0.25, [9, 9, 9, 0]), (1, [0, 0, 0, 0])]
)
def test_the_last_share_of_the_steps_takes_the_whole_softmax(
    whole: float, expected: list[int]
) -> None:
    """None of them where it is 0, all where it is 1."""
    config = run_config(softmax_samples=9, softmax_whole=whole)
    assert expected == [softmax_samples(config, step, 4) for step in range(4)]
