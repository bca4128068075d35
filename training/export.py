"""From a trained model to a bundle: build the graphs, prove them, write the folder.

Must not know: corpora, optimisers.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models import bundle
from models.manifest import Architecture, Manifest, Provenance, check_manifest
from models.text import Tokenizer
from training.card import model_card
from training.checkpoint import RUN_FILE, load_run
from training.errors import ParityError
from training.evaluate import Evaluation, evaluate
from training.graphs import (
    fold_normalization,
    head_graph,
    is_batch_invariant,
    is_native,
    merged_graph,
    needs_decomposition,
    recurrent_graph,
    round_weights,
    state_names,
)
from training.model import LanguageModel
from training.onnx_writer import Storage
from training.scorer import OnnxScorer, Scorer, TorchScorer
from training.triton import triton_config

RECURRENT_FILE, HEAD_FILE, MERGED_FILE = "recurrent.onnx", "head.onnx", "model.onnx"
DECOMPOSED_FILE = "recurrent.decomposed.onnx"
TOLERANCE = 1e-5
"""Largest difference in a log-probability or a state between torch and the exported graphs.."""
NORMALIZED_TOLERANCE = 1e-4
"""Likewise for layer-normalised models, which divide by the spread of sums: where that is small, as
at the first token, it makes roundings up to three hundred times larger."""
_LAST_PLACES = 4 * float(np.finfo(np.float32).eps)
"""..beyond four units in the last place, for at -100 float32 itself steps by almost 1e-5."""

_PARITY_CALLS = ((1, 1, 1), (5, 1, 3), (17, 9, 2), (1, 1, 1), (4, 12, 7))
"""Row lengths of the calls that are compared, state carried from call to call."""


@dataclass(frozen=True)
class Packing:
    """How a bundle is packed, and what its card says besides."""

    storage: Storage = "float32"
    licence: str = ""
    licence_text: str = ""
    test_text: str | None = None
    """Where given, the exported graphs are evaluated on it, for the card."""
    single_file: bool = False
    triton: bool = False


DEFAULT_PACKING = Packing()


def export_run(
    run_folder: Path, repository: Path, name: str, version: int, packing: Packing = DEFAULT_PACKING
) -> Path:
    """Write a run's best model as a bundle and return its folder.

    Raises RunError, ParityError, BundleExistsError.
    """
    run = load_run(run_folder)
    provenance = Provenance(
        recipe=run.info.recipe,
        corpus=run.info.corpus_name,
        corpus_sha256=run.info.corpus_sha256,
        steps=int(run.metrics["step"]),
        metrics={"valid_perplexity": round(run.metrics["valid_perplexity"], 3)},
        licence=packing.licence,
    )
    manifest = describe(run.model, name, version, provenance)
    return write_bundle(run.model, run.tokenizer, manifest, repository, packing)


def as_bundle(folder: Path) -> bundle.Bundle:
    """A bundle's folder, or a run's, as a bundle; of a run its best model, packed in float32."""
    if (folder / bundle.MANIFEST_FILE).exists() or not (folder / RUN_FILE).exists():
        return bundle.load(folder)
    with tempfile.TemporaryDirectory() as repository:
        return bundle.load(export_run(folder, Path(repository), "run", 1))


def describe(model: LanguageModel, name: str, version: int, provenance: Provenance) -> Manifest:
    """The manifest of a model, its files still to be listed; BundleFormatError on a bad name."""
    config = model.config
    architecture = config.model_dump(include=set(Architecture.model_fields))
    architecture["normalization"] = "none" if is_native(model) else "layer"  # batch is folded
    graphs = {"recurrent": RECURRENT_FILE, "head": HEAD_FILE}
    if needs_decomposition(model):
        graphs["decomposed"] = DECOMPOSED_FILE
    state = [{"name": part, "shape": (1, "B", config.hidden)} for part in state_names(model)]
    return check_manifest({
        "name": name,
        "version": version,
        "architecture": architecture,
        "features": config.hidden,
        "state": state,
        "batch_invariant": is_batch_invariant(model),
        "precisions": {"float32": graphs},
        "provenance": provenance.model_dump(),
    })  # fmt: skip


def write_bundle(
    model: LanguageModel,
    tokenizer: Tokenizer,
    manifest: Manifest,
    repository: Path,
    packing: Packing = DEFAULT_PACKING,
) -> Path:
    """Build the graphs, hold them against torch, save the bundle; ParityError if they differ."""
    storage = packing.storage
    fold_normalization(model)
    round_weights(model, storage)
    recurrent, head = recurrent_graph(model, storage), head_graph(model, storage)
    scorer, truth = OnnxScorer(recurrent, head), TorchScorer(model)
    limit = TOLERANCE if is_native(model) else NORMALIZED_TOLERANCE
    difference = check_parity(truth, scorer, len(tokenizer), manifest.name, limit)
    if packing.test_text is not None:
        manifest = _measured(manifest, evaluate(scorer, tokenizer, packing.test_text))
    files = {
        RECURRENT_FILE: recurrent,
        HEAD_FILE: head,
        bundle.TOKENIZER_FILE: tokenizer.to_json().encode(),
        bundle.CARD_FILE: model_card(manifest, storage, difference, packing.licence_text).encode(),
    }
    if needs_decomposition(model):
        decomposed = recurrent_graph(model, storage, decomposed=True)
        check_parity(truth, OnnxScorer(decomposed, head), len(tokenizer), manifest.name, limit)
        files[DECOMPOSED_FILE] = decomposed
    if packing.single_file or packing.triton:
        files[MERGED_FILE] = merged_graph(model, storage)
    folder = bundle.save(manifest, files, repository)
    if packing.triton:
        config = triton_config(manifest)
        (folder.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    return folder


def _measured(manifest: Manifest, evaluation: Evaluation) -> Manifest:
    """The manifest with the figures of a test text among its metrics."""
    figures = {f"test_{name}": round(value, 4) for name, value in asdict(evaluation).items()}
    provenance = manifest.provenance
    metrics = provenance.metrics | figures
    return manifest.model_copy(
        update={"provenance": provenance.model_copy(update={"metrics": metrics})}
    )


def check_parity(
    expected: Scorer, actual: Scorer, vocabulary: int, name: str, limit: float = TOLERANCE
) -> float:
    """Run several stateful, ragged calls through both and return the largest difference found.

    Both begin each call with the state that `expected` carries, so that roundings do not pile up.
    Compares the log-probabilities behind every token and the states that come out; ParityError
    where one differs by more than `limit`.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    state = expected.initial_state(3)
    for lengths in _PARITY_CALLS:
        lengths_B = np.array(lengths, np.int32)
        ids_BT = random.integers(0, vocabulary, (3, max(lengths)), dtype=np.int64)
        read = np.arange(max(lengths)) < lengths_B[:, None]
        wanted_BTD, wanted_state = expected.read(ids_BT, lengths_B, state)
        found_BTD, found_state = actual.read(ids_BT, lengths_B, state)
        pairs = [(expected.log_probs(wanted_BTD[read]), actual.log_probs(found_BTD[read]))]
        pairs += zip(wanted_state, found_state, strict=True)
        for wanted, found in pairs:
            excess = np.abs(wanted - found) - _LAST_PLACES * np.abs(wanted)
            worst = float(np.maximum(worst, excess.max()))  # keeps a NaN
        state = wanted_state
    if not worst <= limit:
        raise ParityError(
            f"{name}: the exported graphs differ from torch by {worst:.1e} in log-probabilities "
            f"or state, more than {limit:.0e}; nothing was written"
        )
    return worst
