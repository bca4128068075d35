"""The whole path for every cell: a corpus, a training run, a bundle, a service, a prediction."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server
from training.cli import main
from training.config import CELLS

ITS_OWN = ("size_bytes", "us_per_word")
"""Figures in which a run and its bundle differ."""


@pytest.fixture(scope="session")
def every_cell(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path) -> Path:
    """A repository with a briefly trained model of every cell."""
    root = tmp_path_factory.mktemp("cells")
    for cell in CELLS:
        run = str(root / "runs" / cell)
        brief = ["--set", f"cell={cell}", "--set", "epochs=1", "--set", "validations=1"]
        assert 0 == main(["train", "tiny", "--data", str(tiny_corpus), "--out", run, *brief])
        target = ["--name", cell, "--version", "1", "--to", str(root / "repository")]
        assert 0 == main(["export", run, *target])
    return root


def test_every_cell_is_trained_exported_and_served(every_cell: Path) -> None:
    """After "Anna saw" each has learnt that "the" follows."""
    settings = {"NEXTWORD_MODELS": str(every_cell / "repository"), "NEXTWORD_MODEL": "lstm"}
    with Server(settings) as server, httpx.Client(base_url=server.url) as http:
        assert sorted(CELLS) == [model["id"] for model in http.get("/v1/models").json()["data"]]
        for cell in CELLS:
            body = {"text": "Anna saw", "model": cell, "k": 1}
            [best] = http.post("/v1/predict", json=body).json()["predictions"]
            assert "the" == best["word"]


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_and_its_bundle_measure_the_same(
    every_cell: Path, tiny_corpus: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Perplexity, recall and savings do not depend on which runtime scores."""
    figures = []
    for model in (every_cell / "runs" / cell, every_cell / "repository" / cell / "1"):
        data = str(tiny_corpus / "test.txt")
        assert 0 == main(["evaluate", str(model), "--data", data, "--json"])
        measured = json.loads(capsys.readouterr().out)
        figures.append({name: measured[name] for name in measured if name not in ITS_OWN})
    assert pytest.approx(figures[0], rel=1e-3) == figures[1]
