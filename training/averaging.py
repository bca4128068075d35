"""Averages of the weights along a run, which validate better than where the run stands.

Must not know: corpora, files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.config import RunConfig


class Averager:
    """Keeps an average of a model's weights: exponential, or from a trigger on (NT-ASGD).

    `ema` takes in (1 - decay) of each step's weights. `nt_asgd` begins once validation has not
    improved for `average_patience` validations, and is the plain mean since then (Merity 2018).
    With `none` there is no average, and the model stands for itself.
    """

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        """Nothing is averaged yet."""
        self._parameters = dict(model.named_parameters())
        self._config = config
        self.count = 0
        """Steps that the average holds."""
        self.losses: list[float] = []
        """Of the validations so far, while the trigger of NT-ASGD waits."""
        self.mean: dict[str, Tensor] = {}

    @property
    def active(self) -> bool:
        """Whether there is an average."""
        return bool(self.mean)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in as they are behind a step."""
        if self._config.average == "ema" and not self.active:
            self._begin()
        if not self.active:
            return
        self.count += 1
        share = 1 / self.count
        if self._config.average == "ema":  # at first the plain mean, so that no start is favoured
            share = max(share, 1 - self._config.average_decay)
        for name, parameter in self._parameters.items():
            self.mean[name].lerp_(parameter, share)

    def validated(self, loss: float) -> None:
        """Hear of a validation; NT-ASGD begins where the last few were no better than before."""
        if self._config.average != "nt_asgd" or self.active:
            return
        patience = self._config.average_patience
        if len(self.losses) >= patience and loss > min(self.losses[:-patience] or [loss]):
            self._begin()
        self.losses.append(loss)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Let the model have the average, if there is one, and get its own weights back after."""
        if not self.active:
            yield
            return
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._copy_in(self.mean)
        try:
            yield
        finally:
            self._copy_in(own)

    def _begin(self) -> None:
        self.mean = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def _copy_in(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
