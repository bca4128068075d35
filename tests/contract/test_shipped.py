"""The models that ship with the project are whole, honest, and usable at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import models
from models.bundle import Bundle
from models.repository import Repository
from tests.contract.readers import Reader, random_rows

SHIPPED = Repository(Path(models.__file__).parent / "repository")
VERSIONS = [(name, version) for name in SHIPPED.names() for version in SHIPPED.versions(name)]


@pytest.fixture(scope="module", params=VERSIONS, ids=str)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each version of each shipped model, checked and loaded."""
    return SHIPPED.load(*request.param)


def test_there_is_a_model_to_serve() -> None:
    """A fresh checkout can answer: at least one model ships."""
    assert VERSIONS


def test_its_origin_is_told(bundle: Bundle) -> None:
    """Corpus, recipe, licence and figures stand in the manifest and in the model card."""
    origin, card = bundle.manifest.provenance, bundle.files["README.md"].decode()

    assert all((origin.recipe, origin.corpus, origin.licence, origin.metrics))
    assert origin.steps > 0
    for told in (bundle.manifest.name, origin.corpus, origin.licence):
        assert told in card


def test_it_reads_and_writes_plain_text(bundle: Bundle) -> None:
    """Everyday words are known, and come back as they were."""
    text = "I don't know what you are going to do.\nWhat do you think?"

    ids = bundle.tokenizer.encode(text)

    assert bundle.tokenizer.unknown_id not in ids
    assert text == bundle.tokenizer.decode(ids)


def test_it_keeps_its_promise_about_batches(bundle: Bundle) -> None:
    """Its answers are bit for bit the same alone, in a batch, and stepped."""
    assert bundle.manifest.batch_invariant
    reader = Reader(bundle)
    rows = random_rows([5, 1, 3, 1, 8, 2, 1], len(bundle.tokenizer))

    for row, together in zip(rows, reader.read(rows), strict=True):
        for read in (*reader.read([row]), reader.step(row)):
            assert read.scores.tobytes() == together.scores.tobytes()
            assert [s.tobytes() for s in read.state] == [s.tobytes() for s in together.state]


def test_it_makes_sense(bundle: Bundle) -> None:
    """Behind the beginning of a common phrase the common word is among the first five."""
    tokenizer, reader = bundle.tokenizer, Reader(bundle)

    for text, wanted in (("I would love", "to"), ("Thank", "you"), ("I don't", "know")):
        (read,) = reader.read([np.array(tokenizer.encode(text))])
        best = np.argsort(-read.scores[-1])[:5]
        assert wanted in {tokenizer.words.shown[i] for i in best}
