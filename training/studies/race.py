"""All cells at one task of several lengths: who solves it, how soon, in words and figures.

Must not know: any task, how a net learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from training.cells import Layer
from training.config import CELLS, Cell
from training.studies.learner import Learned

_Run = TypeVar("_Run", bound=Learned)

Race = Mapping[str, Sequence[Learned]]
"""The runs of every cell at one length, a run a seed."""

GATED_RATE = 2e-2
PLAIN_RATE = 3e-3
"""Adam's learning rates for cells with gates and without, each the best of a few in a pilot."""


def learning_rate(layer: Layer) -> float:
    """Adam's learning rate for a layer."""
    return GATED_RATE if len(layer.gates) > 1 else PLAIN_RATE


def race(learn_one: Callable[[Cell, int], _Run], seeds: int) -> dict[str, list[_Run]]:
    """Let every cell learn from every seed; `learn_one` takes a cell and a seed."""
    return {cell: [learn_one(cell, seed) for seed in range(1, seeds + 1)] for cell in CELLS}


def figures(runs: Sequence[Learned]) -> dict[str, str | int | float]:
    """What a table says of the runs of one cell; medians over the seeds.

    `steps` is blank where no seed solved the task.
    """
    return {
        "seeds": len(runs),
        "solved": sum(run.solved for run in runs),
        "diverged": sum(run.diverged for run in runs),
        "steps": median_steps(runs) if any(run.solved for run in runs) else "",
        "error": median(run.error for run in runs),
        "largest_gradient": max(run.largest_gradient for run in runs),
        "steps_per_s": median(run.steps_per_s for run in runs),
    }


def median_steps(runs: Sequence[Learned]) -> float:
    """Steps to the solution, the median over the runs that found it; NaN where none did."""
    steps = [run.steps for run in runs if run.solved]
    return float(median(steps)) if steps else math.nan


def verdict(length: str, results: Race) -> str:
    """Who solved the task at one length, the fastest first."""
    solved = {cell: sum(run.solved for run in runs) for cell, runs in results.items()}
    ranked = sorted((cell for cell in results if solved[cell]), key=_speed(results, solved))
    names = [
        f"{cell} ({solved[cell]} of {len(results[cell])} seeds, "
        f"{median_steps(results[cell]):.0f} steps)"
        for cell in ranked
    ]
    never = [cell for cell in results if not solved[cell]]
    won = f"solved by {', '.join(names)}" if names else "solved by no cell"
    lost = f"; not by {', '.join(never)}" if names and never else ""
    return f"{length}: {won}{lost}."


def _speed(results: Race, solved: Mapping[str, int]) -> Callable[[str], tuple[float, float]]:
    """A key to sort by: more seeds first, then fewer steps."""

    def key(cell: str) -> tuple[float, float]:
        return -solved[cell] / len(results[cell]), median_steps(results[cell])

    return key
