"""A contest of cells on one text: the same number of weights, the same tokens, its own rate each.

Must not know: which cells there are, figures, reports.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from training.config import Cell, RunConfig
from training.corpus import Ids, Windows, side_by_side
from training.errors import DivergedError
from training.intake import validation_windows
from training.loop import Stepper, mean_loss
from training.model import LanguageModel
from training.studies.contest_text import Text


@dataclass(frozen=True)
class Rules:
    """What is the same for all cells."""

    tokens: int
    """Training tokens used, from the text's start; what is beyond is left out."""
    held_out: int
    """Tokens used of the validation and of the test text."""
    vocabulary: int
    """Tokens at most; fewer where the text has fewer."""
    embedding: int
    hidden: int
    """Of the LSTM, whose number of weights the others are brought to."""
    rates: Sequence[float]
    """Learning rates to choose from, rising; a cell begins with the one in the middle."""
    seeds: int
    passes: int = 1
    """Over the training tokens."""
    batch: int = 10
    bptt: int = 35
    forget: float = 0.05
    """Chance that a stream begins anew at a window. Without it a model sees the state of nothing
    once, at its first step, and some streams of a test never find out of it again."""

    def config(self, cell: Cell, hidden: int, vocabulary: int) -> RunConfig:
        """The run of a cell, its rate and seed still to be set."""
        return RunConfig(
            cell=cell,
            hidden=hidden,
            embedding=self.embedding,
            vocabulary=vocabulary,
            batch=self.batch,
            bptt=self.bptt,
            forget=self.forget,
        )


def perplexity(loss: float) -> float:
    """What a loss in nats a token is as a perplexity; inf where it is too large for a float."""
    return math.exp(loss) if loss < math.log(sys.float_info.max) else math.inf


@dataclass(frozen=True)
class Trial:
    """One net trained once; losses in nats a token, inf where it does worse than guessing."""

    rate: float
    seed: int
    valid_loss: float
    test_loss: float
    """Of the test text, or of the validation text where there is no other."""
    tokens_per_s: float
    """Training tokens a second of processor time, so that other work hardly counts."""


@dataclass(frozen=True)
class Entry:
    """A cell's part in the contest."""

    cell: Cell
    hidden: int
    weights: int
    sweep: Sequence[Trial]
    """One a rate, rising, all of the first seed."""
    trials: Sequence[Trial]
    """One a seed, all of the best rate."""

    @property
    def losses(self) -> list[float]:
        """The final losses, one a seed."""
        return [trial.test_loss for trial in self.trials]

    @property
    def rate(self) -> float:
        """The rate with the lowest validation loss."""
        return self.trials[0].rate

    @property
    def perplexities(self) -> list[float]:
        """Likewise."""
        return [perplexity(loss) for loss in self.losses]

    @property
    def tokens_per_s(self) -> float:
        """Of the fastest trial: whatever disturbs only slows."""
        return max(trial.tokens_per_s for trial in (*self.sweep, *self.trials))


def count_weights(config: RunConfig) -> int:
    """The weights of a model, counted without making them."""
    with torch.device("meta"):
        return LanguageModel(config).parameter_count()


def matched_hidden(rules: Rules, cell: Cell, vocabulary: int) -> int:
    """The width at which a cell's model comes nearest to the LSTM's number of weights."""
    target = count_weights(rules.config("lstm", rules.hidden, vocabulary))

    def excess(hidden: int) -> int:
        return count_weights(rules.config(cell, hidden, vocabulary)) - target

    low, high = 1, 2
    while excess(high) < 0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return min((low, high), key=lambda hidden: abs(excess(hidden)))


def enter(cell: Cell, text: Text, rules: Rules) -> Entry:
    """Find the best rate with one seed, then train the other seeds at that rate."""
    config = rules.config(cell, matched_hidden(rules, cell, text.vocabulary), text.vocabulary)
    attempt = partial(_try, config, text, rules.passes)
    sweep = _sweep(rules.rates, partial(attempt, seed=1))
    best = min(sweep, key=lambda trial: trial.valid_loss)
    others = [attempt(best.rate, seed=seed) for seed in range(2, rules.seeds + 1)]
    return Entry(cell, config.hidden, count_weights(config), sweep, [best, *others])


def _sweep(rates: Sequence[float], attempt: Callable[[float], Trial]) -> list[Trial]:
    """Try the rate in the middle, then the neighbours of the best until it has no untried one."""
    trials = {len(rates) // 2: attempt(rates[len(rates) // 2])}
    while True:
        best = min(trials, key=lambda place: trials[place].valid_loss)
        untried = {best - 1, best + 1} & set(range(len(rates))) - set(trials)
        if not untried:
            return [trial for _, trial in sorted(trials.items())]
        for place in untried:
            trials[place] = attempt(rates[place])


def _try(config: RunConfig, text: Text, passes: int, rate: float, seed: int) -> Trial:
    """Train one net over the training tokens and examine it."""
    config = config.model_copy(update={"learning_rate": rate, "seed": seed})
    windows = Windows(side_by_side(text.train, config.batch), config.bptt)
    torch.manual_seed(seed)
    stepper = Stepper(LanguageModel(config), config, passes * len(windows))
    started_s = time.process_time()
    try:
        _train(stepper, windows)
    except DivergedError:
        return Trial(rate, seed, math.inf, math.inf, 0.0)
    tokens = passes * (len(windows.ids_NB) - 1) * config.batch
    tokens_per_s = tokens / (time.process_time() - started_s)
    valid_loss = _loss(stepper.model, text.valid, config)
    test_loss = valid_loss if text.test is None else _loss(stepper.model, text.test, config)
    return Trial(rate, seed, valid_loss, test_loss, tokens_per_s)


def _train(stepper: Stepper, windows: Windows) -> None:
    """Take every step of a run; a pass begins from the state of nothing."""
    for step in range(stepper.total_steps):
        position = step % len(windows)
        if position == 0:
            stepper.state = stepper.model.initial_state(stepper.config.batch)
        stepper.step(step, *windows[position])


def _loss(model: LanguageModel, ids: Ids, config: RunConfig) -> float:
    """The mean loss over a text; inf where guessing alike would be better, which is divergence."""
    loss = mean_loss(model, validation_windows(ids, config))
    return loss if loss <= math.log(config.vocabulary) else math.inf
