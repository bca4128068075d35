"""One training step, one validation, the learning rate: what the loop of a run is made of.

Must not know: files, progress bars, corpora's texts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.averaging import Averager
from training.config import RunConfig
from training.corpus import Windows
from training.devices import choose_dtype, products_in
from training.distributed import ALONE, Ranks
from training.errors import DivergedError
from training.model import LanguageModel, ModelState, detach, forget, narrow, widen
from training.regularize import activation_penalty


class Stepper:
    """Takes optimiser steps over consecutive TBPTT windows, the streams' state carried along."""

    def __init__(
        self,
        model: LanguageModel,
        config: RunConfig,
        total_steps: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """Set up the optimiser for `total_steps` windows; all is done where the model lies.

        Raises ConfigError where the streams cannot be shared among the processes.
        """
        self.model = model
        self.config = config
        self.total_steps = total_steps
        self.optimizer = build_optimizer(model, config)
        self.ranks = ranks
        own = ranks.share(config.batch)
        self.state: ModelState = model.initial_state(own.stop - own.start)
        self.average = Averager(model, config)
        self.dtype = choose_dtype(config, model.device)
        self._read = model.compiled() if config.compile else model

    def step(self, index: int, ids_TB: Tensor, targets_TB: Tensor) -> float:
        """Learn from one window; its mean loss in nats a token. DivergedError where it is NaN.

        Rows behind those of the streams are read from a state of zeros, and not carried on.
        """
        rate = learning_rate(self.config, index, self.total_steps)
        if self.config.vary_bptt:
            rate *= len(ids_TB) / self.config.bptt
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        streams = len(self.state[0][0])
        state = self._partly_forgotten(detach(self.state))
        state = widen(state, ids_TB.shape[1] - streams)
        ids_TB, targets_TB = ids_TB.to(self.model.device), targets_TB.to(self.model.device)
        with products_in(self.dtype, self.model.device):
            hidden_TBH, state = self._read(ids_TB, state)
        self.state = narrow(state, streams)
        dropped_TBH = self.model.drop_output(hidden_TBH)
        samples = softmax_samples(self.config, index, self.total_steps)
        loss = self.model.loss(dropped_TBH, targets_TB, self.dtype, samples)
        [value] = self.ranks.sum(loss.item() / self.ranks.world)
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} at step {index}: lower learning_rate or clip; "
                "the best model so far is kept"
            )
        if self.config.ar or self.config.tar:
            loss = loss + activation_penalty(
                hidden_TBH, dropped_TBH, self.config.ar, self.config.tar
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.ranks.average(p.grad for p in self.model.parameters() if p.grad is not None)
        self.ranks.average(self.model.buffers())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.average.update()
        return value

    @property
    def learning_rate(self) -> float:
        """That of the last step."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def _partly_forgotten(self, state: ModelState) -> ModelState:
        if not self.config.forget:
            return state
        chance_B = torch.rand(len(state[0][0]), device=self.model.device)
        return forget(state, (chance_B >= self.config.forget).float())


@torch.no_grad()
def mean_loss(model: LanguageModel, windows: Windows, ranks: Ranks = ALONE) -> float:
    """Mean cross entropy in nats a token over all windows, the state carried, dropout off.

    Of several processes, each has windows over streams of its own.
    """
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    state = model.initial_state(windows.ids_NB.shape[1])
    for ids_TB, targets_TB in windows:
        hidden_TBH, state = model(ids_TB.to(model.device), state)
        loss = model.loss(hidden_TBH.float(), targets_TB.to(model.device), torch.float32)
        total += loss.item() * targets_TB.numel()
        count += targets_TB.numel()
    model.train(was_training)
    total_of_all, count_of_all = ranks.sum(total, count)
    return total_of_all / count_of_all


def learning_rate(config: RunConfig, step: int, total_steps: int) -> float:
    """The learning rate at a step.

    `one_cycle` (Smith 2018) rises in a line from 1/25 over the warm-up and falls in a half cosine
    to 1/1000; `cosine` does without the rise; `constant` stays.
    """
    if config.schedule == "constant":
        return config.learning_rate
    rise = config.warmup * total_steps if config.schedule == "one_cycle" else 0.0
    if step < rise:
        return config.learning_rate * (0.04 + 0.96 * step / rise)
    progress = (step - rise) / max(1.0, total_steps - rise)
    return config.learning_rate * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * progress)))


def softmax_samples(config: RunConfig, step: int, total_steps: int) -> int:
    """Words drawn for a step's softmax; 0 is the whole vocabulary, as in the last steps."""
    return config.softmax_samples if step < (1 - config.softmax_whole) * total_steps else 0


def build_optimizer(model: LanguageModel, config: RunConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay on matrices only (biases and peepholes are left alone)."""
    matrices = [p for p in model.parameters() if p.dim() > 1 and min(p.shape) > 3]
    rest = [p for p in model.parameters() if not (p.dim() > 1 and min(p.shape) > 3)]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
