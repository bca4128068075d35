"""Other forms of a bundle: weights stored as halves, and both graphs in a single file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests.unit.training.exporting import SHAPES, export, scores
from tests.unit.training.support import fresh_model
from training.config import CELLS, Storage
from training.graphs import MERGED_K, state_names
from training.scorer import OnnxScorer, TorchScorer


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_stored_in_halves_the_rounded_model_is_what_counts(
    storage: Storage, tmp_path: Path
) -> None:
    """The model is rounded to what the file can hold, and agrees with the file to the last bit."""
    model, exact = fresh_model(cell="gru"), fresh_model(cell="gru")

    written = export(model, tmp_path, storage=storage)

    rounded = torch.equal(model.embedding, exact.embedding)
    assert (storage == "float32") == rounded
    assert torch.allclose(model.embedding, exact.embedding, atol=1e-3)
    assert f"stored as {storage}" in written.files["README.md"].decode()
    graphs = OnnxScorer(*written.graphs(), threads=1)
    for ours, theirs in zip(scores(TorchScorer(model)), scores(graphs), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("layers", "tied"), SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_single_file_is_both_graphs(cell, layers, tied, tmp_path: Path) -> None:
    """The merged graph's scores and states are those of the two graphs, call after call."""
    model = fresh_model(cell=cell, layers=layers, tied=tied)
    written = export(model, tmp_path, single_file=True)
    two = OnnxScorer(*written.graphs(), threads=1)
    one = ort.InferenceSession(written.files["model.onnx"])
    names, state = state_names(model), two.initial_state(3)
    merged = {name: part[0] for name, part in zip(names, state, strict=True)}

    for lengths in ([4, 1, 2], [1, 1, 1]):
        lengths_B = np.array(lengths, np.int32)
        ids_BT = np.random.default_rng(2).integers(0, 11, (3, max(lengths)))
        hidden_BTD, state = two.read(ids_BT, lengths_B, state)
        log_probs = two.log_probs(hidden_BTD[np.arange(3), lengths_B - 1])
        found = dict(
            zip(
                [output.name for output in one.get_outputs()],
                one.run(None, {"input_ids": ids_BT, "lengths": lengths_B, **merged}),
                strict=True,
            )
        )
        np.testing.assert_allclose(found["log_probs"], log_probs, atol=1e-6, rtol=0)
        best = np.argsort(-log_probs, kind="stable")[:, :MERGED_K]
        assert np.array_equal(best, found["top_ids"])
        merged = {name: found[f"{name}_out"] for name in names}
        for name, part in zip(names, state, strict=True):
            np.testing.assert_allclose(merged[name], part[0], atol=1e-6, rtol=0)
