"""From a trained model to a bundle: build the graphs, prove them, write the folder.

Must not know: corpora, optimisers.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models import bundle
from models.cache import ModelCache
from models.manifest import Architecture, Manifest, Provenance, check_manifest
from models.text import Tokenizer
from training.card import Told, model_card
from training.checkpoint import RUN_FILE, load_run
from training.comparison import BASELINE, Subject, Wanted, compare, stream_perplexity
from training.config import Storage
from training.graphs import (
    fold_normalization,
    head_graph,
    is_batch_invariant,
    is_native,
    merged_graph,
    needs_decomposition,
    recurrent_graph,
    state_names,
)
from training.model import LanguageModel
from training.parity import NORMALIZED_TOLERANCE, TOLERANCE, check_parity, largest_difference
from training.rounding import round_weights
from training.scorer import OnnxScorer, TorchScorer
from training.sharing import share_embedding
from training.triton import triton_config

RECURRENT_FILE, HEAD_FILE, MERGED_FILE = "recurrent.onnx", "head.onnx", "model.onnx"
DECOMPOSED_FILE = "recurrent.decomposed.onnx"


@dataclass(frozen=True)
class Packing:
    """How a bundle is packed, and what its card says besides."""

    storage: Storage = "float32"
    licence: str = ""
    licence_text: str = ""
    notes: str = ""
    """Markdown for the card: what was compared."""
    test: Path | None = None
    """A text that the exported graphs are measured on, for the card."""
    baseline: bool = False
    """Whether an n-gram model of the `train.txt` beside that text is measured too."""
    cache_size: int = 0
    """Words of the continuous cache that the bundle names, tuned on the `valid.txt` beside that
    text; 0 is none."""
    cache_by_default: bool = False
    single_file: bool = False
    triton: bool = False


DEFAULT_PACKING = Packing()


def export_run(
    run_folder: Path, repository: Path, name: str, version: int, packing: Packing = DEFAULT_PACKING
) -> Path:
    """Write a run's best model as a bundle and return its folder.

    Raises RunError, WeightsError, ParityError, CorpusError (of the test text), BundleExistsError.
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
    """Build the graphs, hold them against torch, measure them, save the bundle.

    Raises ParityError where they differ, WeightsError where weights are no numbers, CorpusError
    where the test text is unusable, BundleExistsError; nothing is written then.
    """
    fold_normalization(model)
    exact = TorchScorer(copy.deepcopy(model))
    round_weights(model, packing.storage)
    rounding = largest_difference(exact, TorchScorer(model), len(tokenizer))
    graphs = _build(model, packing.storage)
    scorer = OnnxScorer(graphs[RECURRENT_FILE], graphs[HEAD_FILE])
    parity = _hold_against_torch(model, graphs, scorer, manifest.name)
    files = share_embedding(graphs) if packing.storage == "int8" else dict(graphs)
    if packing.test is not None:
        size_bytes = sum(len(files[name]) for name in files if name != DECOMPOSED_FILE)
        manifest = _measured(manifest, Subject(scorer, tokenizer, size_bytes), exact, packing)
    told = Told(
        storage=packing.storage,
        parity=parity,
        rounding=rounding,
        baseline=BASELINE,
        licence_text=packing.licence_text,
        notes=packing.notes,
    )
    files |= {
        bundle.TOKENIZER_FILE: tokenizer.to_json().encode(),
        bundle.CARD_FILE: model_card(manifest, told).encode(),
    }
    if packing.single_file or packing.triton:
        files[MERGED_FILE] = merged_graph(model, packing.storage)
    folder = bundle.save(manifest, files, repository)
    if packing.triton:
        config = triton_config(manifest)
        (folder.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    return folder


def _build(model: LanguageModel, storage: Storage) -> dict[str, bytes]:
    """The graphs that the bundle wants, all weights inside."""
    graphs = {
        RECURRENT_FILE: recurrent_graph(model, storage),
        HEAD_FILE: head_graph(model, storage),
    }
    if needs_decomposition(model):
        graphs[DECOMPOSED_FILE] = recurrent_graph(model, storage, decomposed=True)
    return graphs


def _hold_against_torch(
    model: LanguageModel, graphs: Mapping[str, bytes], scorer: OnnxScorer, name: str
) -> float:
    """How far the graphs are from the (rounded) model; ParityError where that is too far."""
    truth, vocabulary = TorchScorer(model), model.config.vocabulary
    limit = TOLERANCE if is_native(model) else NORMALIZED_TOLERANCE
    parity = check_parity(truth, scorer, vocabulary, name, limit)
    if DECOMPOSED_FILE in graphs:
        decomposed = OnnxScorer(graphs[DECOMPOSED_FILE], graphs[HEAD_FILE])
        check_parity(truth, decomposed, vocabulary, name, limit)
    return parity


def _measured(
    manifest: Manifest, subject: Subject, exact: TorchScorer, packing: Packing
) -> Manifest:
    """The manifest with the figures of the graphs on the test text, and a cache tuned for them."""
    assert packing.test is not None
    comparison = compare(subject, packing.test, Wanted(packing.baseline, packing.cache_size))
    figures = comparison.metrics()
    if packing.storage != "float32":
        unrounded = stream_perplexity(exact, subject.tokenizer, packing.test)
        figures["test_perplexity_unrounded"] = round(unrounded, 4)
    provenance = manifest.provenance
    provenance = provenance.model_copy(update={"metrics": {**provenance.metrics, **figures}})
    cache = comparison.cached and ModelCache(
        **comparison.cached.config.model_dump(), by_default=packing.cache_by_default
    )
    return manifest.model_copy(update={"provenance": provenance, "cache": cache})
