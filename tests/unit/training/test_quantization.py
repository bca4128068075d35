"""A matrix as bytes and scales: near, exact to multiply, and the same when rounded again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.unit.training.support import fresh_model
from training.errors import WeightsError
from training.quantization import to_bytes
from training.rounding import round_weights


def matrix(rows: int = 50, columns: int = 30, seed: int = 0) -> np.ndarray:
    """Rows of very different sizes."""
    chance = np.random.default_rng(seed)
    sizes = 10.0 ** chance.uniform(-20, 10, (rows, 1))
    return (chance.normal(size=(rows, columns)) * sizes).astype(np.float32)


def test_a_weight_is_at_most_half_a_step_off() -> None:
    """The largest weight of a row is 127 steps, and every weight the nearest number of them."""
    exact = matrix()
    rounded = to_bytes(exact)

    largest = np.abs(exact).max(axis=1, keepdims=True)
    assert np.int8 == rounded.steps.dtype
    assert [127] * 50 == np.abs(rounded.steps.astype(int)).max(axis=1).tolist()
    np.testing.assert_allclose(rounded.scale, largest / 127, rtol=1e-5)
    assert (np.abs(rounded.floats() - exact) <= 0.501 * rounded.scale).all()


def test_rounding_twice_is_rounding_once() -> None:
    """What was rounded comes back with the same bytes and scales, whatever its size."""
    for seed in range(20):
        once = to_bytes(matrix(seed=seed))
        twice = to_bytes(once.floats())

        assert np.array_equal(once.steps, twice.steps)
        assert np.array_equal(once.scale, twice.scale)


def test_the_product_is_exact() -> None:
    """Scales leave room for seven bits, so no runtime can round a product in its own way."""
    rounded = to_bytes(matrix())

    assert np.array_equal(rounded.steps * rounded.scale.astype(np.float64), rounded.floats())


def test_a_row_of_zeros_stays_one() -> None:
    """It has no largest weight to take a scale from, and needs none."""
    rounded = to_bytes(np.array([[0, 0], [1, -2]], np.float32))

    assert [[0, 0], [64, -127]] == rounded.steps.tolist()
    assert [0, 0] == rounded.floats()[0].tolist()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    """A row that holds it would have no scale."""
    with pytest.raises(WeightsError, match="no finite number"):
        to_bytes(np.array([[1, 2], [wrong, 0]], np.float32))


@pytest.mark.parametrize("tied", [True, False])
def test_only_matrices_are_rounded_to_bytes(tied: bool) -> None:  # noqa: FBT001  # a parameter
    """Biases, peepholes and gains stay as they were trained; everything else changes a little."""
    changes = {"cell": "peephole_lstm", "normalization": "layer", "layers": 2, "tied": tied}
    model, exact = fresh_model(**changes), fresh_model(**changes)
    round_weights(model, "int8")

    kept = ("bias", "peephole", "gain", "shift")
    for (name, ours), theirs in zip(model.named_parameters(), exact.parameters(), strict=True):
        assert any(word in name for word in kept) == torch.equal(ours, theirs), name
        assert torch.allclose(ours, theirs, atol=0.003), name
