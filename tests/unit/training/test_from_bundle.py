"""A bundle read back as a model of torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import GraphError
from tests.unit.training.exporting import export, scores
from tests.unit.training.support import fresh_model
from training.config import CELLS
from training.errors import ConfigError
from training.from_bundle import model_of
from training.model import LanguageModel
from training.scorer import TorchScorer


def scatter(model: LanguageModel) -> LanguageModel:
    """Move all weights a little, so that none has the value it begins with."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "changes",
    [
        {"tied": True},
        {"tied": False, "layers": 2},
        {"normalization": "layer"},
    ],
)
def test_every_cell_comes_back_as_it_was(
    cell: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Weight by weight, except those that ONNX has and the model lacks."""
    model = scatter(fresh_model(cell=cell, **changes))

    found = model_of(export(model, tmp_path))

    assert model.config.model_dump() == found.config.model_dump()
    expected = model.state_dict()
    assert set(expected) == set(found.state_dict())
    for name, weights in found.state_dict().items():
        assert torch.equal(expected[name], weights), name


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_rounded_weights_come_back_as_they_are_calculated_with(
    storage: str, tmp_path: Path
) -> None:
    """The model exports to the very same bundle."""
    bundle = export(scatter(fresh_model()), tmp_path / "first", storage=storage)

    again = export(model_of(bundle), tmp_path / "second", storage=storage)

    for one, other in zip(bundle.graphs(), again.graphs(), strict=True):
        assert one == other


def test_folded_batch_normalisation_stays_folded(tmp_path: Path) -> None:
    """The model answers alike, without normalisation."""
    model = scatter(fresh_model(normalization="batch"))

    found = model_of(export(model, tmp_path))

    assert "none" == found.config.normalization
    for ours, theirs in zip(scores(TorchScorer(found)), scores(TorchScorer(model)), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_an_unknown_cell_cannot_be_trained(tmp_path: Path) -> None:
    """A bundle of another maker may hold any cell."""
    bundle = export(fresh_model(), tmp_path)
    shape = bundle.manifest.architecture.model_copy(update={"cell": "sru"})
    manifest = bundle.manifest.model_copy(update={"architecture": shape})

    with pytest.raises(ConfigError, match="'sru' cannot be trained"):
        model_of(replace(bundle, manifest=manifest))


@pytest.mark.parametrize("change", [{"hidden": 5}, {"embedding": 1}, {"vocabulary": 10}])
def test_graphs_of_another_shape_are_refused(change: dict[str, int], tmp_path: Path) -> None:
    """What a bundle's manifest says of its embedding, no other check can know."""
    bundle = export(fresh_model(), tmp_path)
    shape = bundle.manifest.architecture.model_copy(update=change)
    manifest = bundle.manifest.model_copy(update={"architecture": shape})

    with pytest.raises(GraphError, match="the graphs disagree with the manifest"):
        model_of(replace(bundle, manifest=manifest))
