"""How a small net learns a made-up task: one recurrent layer, a linear read-out, Adam, a cap.

A task comes in as two functions: the loss of a fresh batch, and the error on a held-out set.
Must not know: any task, figures, reports.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.cells import Layer, State


class Net(nn.Module):
    """One recurrent layer and a linear read-out."""

    def __init__(self, layer: Layer, outputs: int) -> None:
        """Read `outputs` figures out of the layer's features."""
        super().__init__()
        self.layer = layer
        self.read_out = nn.Linear(layer.weight_hh.shape[1], outputs)

    def forward(self, x_TBI: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read-outs [T, B, O] and the state after the last step; without a state, from zeros."""
        y_TBH, last = self._run(x_TBI, state)
        return self.read_out(y_TBH), last

    def at_end(self, x_TBI: Tensor) -> Tensor:
        """The read-out [B, O] after the last step, from a state of zeros."""
        y_TBH, _ = self._run(x_TBI, None)
        read: Tensor = self.read_out(y_TBH[-1])
        return read

    def _run(self, x_TBI: Tensor, state: State | None) -> tuple[Tensor, State]:
        before = self.layer.initial_state(x_TBI.shape[1]) if state is None else state
        y_TBH, after = self.layer(x_TBI, before)
        return y_TBH, after


@dataclass(frozen=True)
class Training:
    """How long and how boldly a net learns."""

    max_steps: int
    learning_rate: float
    solved_below: float
    """The held-out error under which the task counts as solved; the net then stops."""
    clip: float | None = 1.0
    """Largest norm of the gradient of all weights together; None leaves gradients alone."""
    check_every: int = 50
    """Steps between two looks at the held-out set."""


@dataclass(frozen=True)
class Learned:
    """What became of one net."""

    curve: Sequence[tuple[int, float]]
    """Steps taken and the held-out error then, at every look; inf where the net diverged."""
    solved: bool
    largest_gradient: float
    """The largest finite norm of the gradient, before clipping."""
    steps_per_s: float
    """Training steps alone, by the second of processor time, which other work hardly changes."""

    @property
    def steps(self) -> int:
        """Steps taken: up to the first look that found the task solved, or all."""
        return self.curve[-1][0]

    @property
    def error(self) -> float:
        """The held-out error at the end; inf where the net diverged."""
        return self.curve[-1][1]

    @property
    def diverged(self) -> bool:
        """Whether loss, gradient or held-out error stopped being a finite number."""
        return not math.isfinite(self.error)


def learn(
    net: Net,
    training: Training,
    batch_loss: Callable[[], Tensor],
    held_out_error: Callable[[], float],
) -> Learned:
    """Train a net until it solves its task, diverges, or has taken its steps."""
    optimizer = torch.optim.Adam(net.parameters(), training.learning_rate, fused=True)
    curve: list[tuple[int, float]] = []
    largest, took_s, step, solved = 0.0, 0.0, 0, False
    while not solved and step < training.max_steps:
        started_s = time.process_time()
        norm = _step(net, optimizer, batch_loss(), training.clip)
        took_s += time.process_time() - started_s
        step += 1
        if not math.isfinite(norm):
            curve.append((step, math.inf))
            break
        largest = max(largest, norm)
        if step % training.check_every == 0 or step == training.max_steps:
            curve.append((step, examine(net, held_out_error)))
            solved = curve[-1][1] < training.solved_below
    return Learned(curve, solved, largest, step / took_s)


def examine(net: Net, held_out_error: Callable[[], float]) -> float:
    """The held-out error of a net as it would be used: no gradients, normalisation settled."""
    net.eval()
    with torch.no_grad():
        error = held_out_error()
    net.train()
    return error if math.isfinite(error) else math.inf


def _step(net: Net, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float | None) -> float:
    """One step of the optimiser; the gradient's norm before clipping, NaN where the loss is."""
    optimizer.zero_grad()
    loss.backward()
    weights = list(net.parameters())
    norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
    if clip is not None:
        nn.utils.clip_grads_with_norm_(weights, clip, norm)
    optimizer.step()
    return norm.item() if math.isfinite(loss.item()) else math.nan
