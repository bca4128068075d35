"""Promise 4.4: the answer does not depend on the batch, bit for bit, whatever the cell."""

from __future__ import annotations

import numpy as np
import pytest

from models.bundle import Bundle
from tests.contract.readers import Make, Read, Reader, random_rows
from training.config import CELLS

SIZES = [
    {},
    {"layers": 2, "tied": False},
    {"embedding": 5, "hidden": 7, "vocabulary": 13},
    {"embedding": 64, "hidden": 128, "vocabulary": 1000},
]
NORMALIZED = {"normalization": "layer", "layers": 2, "embedding": 5, "hidden": 7, "vocabulary": 13}
BUNDLES = [(cell, size) for cell in CELLS for size in SIZES]
BUNDLES += [(cell, NORMALIZED) for cell in CELLS]
BUNDLES += [(cell, {"storage": "int8", "layers": 2}) for cell in CELLS]
BUNDLES += [("lstm", SIZES[-1] | {"storage": "int8"}), ("gru", NORMALIZED | {"storage": "int8"})]
LENGTHS = [9, 1, 4, 12, 1, 1, 7, 30, 2, 12, 5, 1, 3, 8, 1, 6, 11]


@pytest.fixture(
    scope="module",
    params=BUNDLES,
    ids=lambda made: "-".join(map(str, (made[0], *made[1].values()))),
)
def bundle(request: pytest.FixtureRequest, make: Make) -> Bundle:
    """A bundle of each cell in several shapes."""
    cell, sizes = request.param
    return make(cell, **sizes)


def open_reader(bundle: Bundle, threads: int = 1) -> Reader:
    """The graphs that the service picks on a CPU, loaded."""
    return Reader(bundle, fused=bundle.manifest.batch_invariant, threads=threads)


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> Reader:
    """Its graphs, loaded."""
    return open_reader(bundle)


@pytest.fixture(scope="module")
def rows(bundle: Bundle) -> list[np.ndarray]:
    """Texts of many lengths."""
    return random_rows(LENGTHS, bundle.manifest.architecture.vocabulary)


@pytest.fixture(scope="module")
def alone(reader: Reader, rows: list[np.ndarray]) -> list[Read]:
    """What each text comes to when it is read alone."""
    return [reader.read([row])[0] for row in rows]


def assert_equal_bits(wanted: list[Read], found: list[Read]) -> None:
    """Scores and states are the same to the last bit."""
    for one, other in zip(wanted, found, strict=True):
        assert one.scores.tobytes() == other.scores.tobytes()
        assert [s.tobytes() for s in one.state] == [s.tobytes() for s in other.state]


def test_the_bundle_says_which_graph_keeps_it(bundle: Bundle) -> None:
    """Only a plain RNN's fused operator does not; its bundle says so and has another graph."""
    shape, graphs = bundle.manifest.architecture, bundle.manifest.precisions["float32"]
    fused_rnn = shape.cell.startswith("rnn") and shape.normalization == "none"

    assert fused_rnn != bundle.manifest.batch_invariant
    assert bundle.manifest.batch_invariant or graphs.decomposed is not None


def test_a_row_in_a_ragged_batch_is_the_row_alone(reader, rows, alone) -> None:
    """Padded together with longer and shorter ones, each row answers as it does alone."""
    assert_equal_bits(alone, reader.read(rows))


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_the_size_of_the_batch_does_not_matter(reader, rows, alone, size: int) -> None:
    """In batches of any size each row answers as it does alone."""
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]

    assert_equal_bits(alone, [read for batch in batches for read in reader.read(batch)])


def test_the_place_in_the_batch_does_not_matter(reader, rows, alone) -> None:
    """From bottom to top the rows answer the same."""
    assert_equal_bits(alone[::-1], reader.read(rows[::-1]))


def test_what_stands_behind_a_rows_end_does_not_matter(reader, rows, alone) -> None:
    """The padding may be any token."""
    assert_equal_bits(alone, reader.read(rows, padding=12))


def test_stepping_is_prefilling(reader, rows, alone) -> None:
    """Token by token or at once, a text comes to the same."""
    assert_equal_bits(alone, [reader.step(row) for row in rows])


def test_chunks_in_company_are_the_whole_alone(reader, rows, alone) -> None:
    """A text read in chunks, beside other texts' chunks, comes to the same."""
    firsts = reader.read([row[: len(row) // 2 + 1] for row in rows])
    rests = [row[len(row) // 2 + 1 :] for row in rows]
    going = [n for n, rest in enumerate(rests) if len(rest)]

    seconds = reader.read([rests[n] for n in going], [firsts[n].state for n in going])

    found = list(firsts)
    for n, second in zip(going, seconds, strict=True):
        found[n] = Read(np.concatenate([firsts[n].scores, second.scores]), second.state)
    assert_equal_bits(alone, found)


def test_scoring_one_is_scoring_many(reader, bundle) -> None:
    """A hidden vector is scored the same alone and among a hundred others."""
    shape = (101, bundle.manifest.features)
    hidden = np.random.default_rng(1).normal(size=shape).astype(np.float32)

    together = reader.score(hidden)

    for start, stop in ((0, 1), (50, 51), (3, 10), (100, 101)):
        assert together[start:stop].tobytes() == reader.score(hidden[start:stop]).tobytes()


def test_the_number_of_threads_does_not_matter(bundle, rows, alone) -> None:
    """Two threads answer what one does."""
    assert_equal_bits(alone, open_reader(bundle, threads=2).read(rows))
