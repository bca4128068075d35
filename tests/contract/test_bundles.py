"""What every bundle of every cell keeps to: the graphs' inputs and outputs as specified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from models.bundle import Bundle
from models.repository import Repository
from tests.contract.readers import Make, Reader, random_rows
from training.config import CELLS, ModelConfig
from training.random_bundle import write_random_bundle

LENGTHS = [6, 1, 9, 3]
NORMS = ["none", "layer"]


@pytest.fixture(scope="module", params=[(cell, norm) for cell in CELLS for norm in NORMS], ids=str)
def bundle(request: pytest.FixtureRequest, make: Make) -> Bundle:
    """A bundle of each cell, two layers deep, layer-normalised too."""
    cell, normalization = request.param
    return make(cell, layers=2, normalization=normalization)


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "decomposed"])
def reader(request: pytest.FixtureRequest, bundle: Bundle) -> Reader:
    """Its graphs in either form, loaded."""
    return Reader(bundle, fused=request.param)


@pytest.fixture(scope="module")
def rows(bundle: Bundle) -> list[np.ndarray]:
    """Texts of several lengths."""
    return random_rows(LENGTHS, bundle.manifest.architecture.vocabulary)


def test_only_the_plain_rnns_promise_nothing(bundle: Bundle) -> None:
    """Their fused kernel couples rows, and the manifest says so."""
    shape = bundle.manifest.architecture
    coupled = shape.cell.startswith("rnn") and shape.normalization == "none"

    assert coupled != bundle.manifest.batch_invariant


def test_a_row_keeps_the_state_of_its_own_end(reader: Reader, rows: list[np.ndarray]) -> None:
    """In a ragged batch each row answers as alone, to float32's accuracy, and keeps its state."""
    for row, together in zip(rows, reader.read(rows), strict=True):
        (alone,) = reader.read([row])
        np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(together.state, alone.state, atol=1e-5, rtol=0)


def test_stepping_comes_to_the_same(reader: Reader, rows: list[np.ndarray]) -> None:
    """Token by token with the state carried, a text comes to what it does at once."""
    for row in rows:
        (whole,), stepped = reader.read([row]), reader.step(row)
        np.testing.assert_allclose(stepped.scores, whole.scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(stepped.state, whole.state, atol=1e-5, rtol=0)


def test_every_part_of_the_state_matters(reader: Reader, rows: list[np.ndarray]) -> None:
    """A change in any one state tensor changes the next answer."""
    (read,) = reader.read([rows[0]])
    (before,) = reader.read([rows[1]], [read.state])

    for changed in range(len(read.state)):
        state = [part + (n == changed) for n, part in enumerate(read.state)]
        (after,) = reader.read([rows[1]], [state])
        assert not np.allclose(before.scores, after.scores)


def test_scores_are_log_probabilities(reader: Reader, rows: list[np.ndarray]) -> None:
    """The probabilities of all tokens behind each token come to one."""
    for read in reader.read(rows):
        np.testing.assert_allclose(np.exp(read.scores).sum(-1), 1, atol=1e-5)
        assert read.scores.max() <= 0


def test_the_head_offers_up_to_the_whole_vocabulary(bundle: Bundle) -> None:
    """k may be anything from one to V; the offers are sorted, and all different."""
    session = ort.InferenceSession(bundle.graphs()[1])
    size = bundle.manifest.architecture.vocabulary
    hidden = np.random.default_rng(0).normal(size=(2, bundle.manifest.features))

    for k in (1, 8, size):
        feeds = {"hidden": hidden.astype(np.float32), "k": np.array([k], np.int64)}
        top, ids = session.run(["top_log_probs", "top_ids"], feeds)
        assert (2, k) == ids.shape
        assert np.array_equal(-np.sort(-top), top)
        assert all(k == len(set(row)) for row in ids.tolist())


def test_a_bundle_is_found_in_its_repository(tmp_path: Path) -> None:
    """What training writes is what the repository finds, its words readable."""
    config = ModelConfig(cell="gru", embedding=4, hidden=5, vocabulary=9)
    for version in (9, 10):
        write_random_bundle(config, version, "small", version, tmp_path)

    found = Repository(tmp_path).load("small")

    assert found.manifest.version == 10
    assert found.tokenizer.encode("w0 w6\nw3 what") == [2, 8, 1, 5, 0]
    assert found.tokenizer.decode([2, 8, 1, 5]) == "w0 w6\nw3"
