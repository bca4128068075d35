"""The study of adding: its table, its baseline, and a net that can add."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.training.studies.quick import run_quickly
from training.cells import build_layer
from training.config import CELLS
from training.studies.adding import AddingTask, measure_baseline
from training.studies.learner import Training


def test_a_quick_run_leaves_a_row_a_length_and_cell(tmp_path: Path) -> None:
    """With what always answering 1 costs, measured and as the field has it."""
    table, report = run_quickly("adding", tmp_path)

    assert [(row["length"], row["cell"]) for row in table] == [
        (length, cell) for length in ("6", "12") for cell in CELLS
    ]
    assert all(row["seeds"] == "1" for row in table)
    assert all(float(row["error"]) > 0 for row in table)
    always_1 = AddingTask(12, batch=1, held_out=20).baseline
    assert [always_1] * len(CELLS) == [float(row["always_1"]) for row in table[len(CELLS) :]]
    for told in (f"{measure_baseline(6):.4f}", "0.1667", "0.1767", "T = 12: "):
        assert told in report


def test_the_measured_baseline_is_a_sixth() -> None:
    """Within two standard errors, and so not what Le 2015 has."""
    assert 1 / 6 == pytest.approx(measure_baseline(3), abs=0.002)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_net_with_gates_adds_over_a_few_steps(cell: str) -> None:
    """A very short case is solved, and soon."""
    torch.manual_seed(1)
    training = Training(max_steps=1000, learning_rate=2e-2, solved_below=0.02)

    learned = AddingTask(length=4, batch=32, held_out=200).learn(
        build_layer(cell, 2, 16), training, seed=1
    )

    assert learned.solved
    assert learned.error < 0.02 < 1 / 12  # that is, both values were used
