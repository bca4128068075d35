"""The study of copying: its table, its measure, and a net that can copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.training.studies.quick import run_quickly
from training.cells import build_layer
from training.config import CELLS
from training.studies.copy import Copied, CopyTask, Round, beaten, wrong_share
from training.studies.learner import Training
from training.studies.tasks import (
    COPY_INPUTS,
    COPY_OUTPUTS,
    copy_baseline,
    draw_copy,
    training_chance,
)

TASK = CopyTask(symbols=1, blanks=2, batch=32, held_out=100)


def test_a_quick_run_leaves_a_row_a_blank_and_cell(tmp_path: Path) -> None:
    """With the cross entropy of guessing beside each."""
    table, report = run_quickly("copy", tmp_path)

    assert [(row["blanks"], row["cell"]) for row in table] == [
        (blanks, cell) for blanks in ("3", "6") for cell in CELLS
    ]
    for row in table:
        assert float(row["guessing"]) == pytest.approx(copy_baseline(2, int(row["blanks"])))
        assert float(row["cross_entropy"]) > 0
        assert 0 <= float(row["error"]) <= 1
    assert "6 blanks: guessing costs 0.416 nats" in report


def test_only_the_symbols_at_the_end_count() -> None:
    """A forecast that misses one symbol of each second sequence has a quarter wrong of two."""
    _, targets_TB = draw_copy(2, 3, 10, training_chance(1))
    scores_TBO = torch.nn.functional.one_hot(targets_TB, COPY_OUTPUTS).float()
    scores_TBO[:-2] = 0  # the blanks, all forgotten
    scores_TBO[-1, ::2] = scores_TBO[-1, ::2].roll(1, dims=1)

    assert 0.25 == wrong_share(scores_TBO, targets_TB, 2)


def test_a_cell_beats_guessing_only_clearly() -> None:
    """A hair below the baseline is not enough, and one seed of three is not."""

    def runs(*shares: float) -> list[Copied]:
        return [Copied([(1, 0.5)], False, 1.0, 1.0, share * TASK.baseline) for share in shares]

    results = {
        "lstm": runs(0.1, 0.5, 0.99),
        "gru": runs(0.95, 0.95, 0.95),
        "rnn_tanh": runs(0.1, 1, 1),
    }

    told = beaten(Round(TASK, results))

    assert told.endswith(f"below that came lstm ({TASK.baseline / 2:.3f}).")


def test_a_net_with_gates_copies_over_a_few_blanks() -> None:
    """One symbol over two blanks is solved by a small GRU."""
    torch.manual_seed(1)
    training = Training(max_steps=500, learning_rate=2e-2, solved_below=0.01)

    copied = TASK.learn(build_layer("gru", COPY_INPUTS, 16), training, seed=1)

    assert copied.solved
    assert copied.cross_entropy < TASK.baseline / 2
