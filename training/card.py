"""The model card: the bundle's README.md, generated from what is known about the model.

Must not know: torch, graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.bundle import Manifest

MODEL_PREFIX, BASELINE_PREFIX = "test_", "baseline_"
"""Of the metrics that were measured on a test text: the model's, and a baseline's."""
MODEL_ONLY = ("size_bytes", "us_per_word")
"""Metrics that were measured with them."""


@dataclass(frozen=True)
class Told:
    """What a card tells besides the manifest."""

    storage: str
    parity: float
    """Largest difference between the graphs and torch, the weights being the same."""
    rounding: float = 0.0
    """Largest difference between the rounded weights and those that were trained."""
    baseline: str = ""
    """What the metrics of a baseline belong to."""
    licence_text: str = ""
    notes: str = ""
    """Markdown: what was compared."""


def model_card(manifest: Manifest, told: Told) -> str:
    """Markdown that says what the model is, where it comes from, and how it was checked."""
    shape, origin = manifest.architecture, manifest.provenance
    tied = "tied to the embedding" if shape.tied else "a matrix of its own"
    figures = _figures(origin.metrics)
    metrics = "".join(
        f"| {key} | {value} |\n" for key, value in origin.metrics.items() if key not in figures
    )
    invariant = (
        "answers are bit for bit the same alone and in any batch"
        if manifest.batch_invariant
        else "answers may differ in their last bits from batch to batch"
    )
    normalized = ", layer-normalised" if shape.normalization == "layer" else ""
    corpus = origin.corpus
    if origin.corpus_sha256:
        corpus += f", its training text with sha256 `{origin.corpus_sha256[:16]}`"
    return f"""# {manifest.name}, version {manifest.version}

A recurrent next-word model in nextword's bundle format.

| | |
|---|---|
| cell | `{shape.cell}`, {shape.layers} layer(s) of {shape.hidden}{normalized} |
| embedding | {shape.embedding} |
| vocabulary | {shape.vocabulary} tokens |
| head | {tied} |
| weights | stored as {told.storage}, calculated with as float32 |
| recipe | `{origin.recipe}` |
| corpus | {corpus} |
| steps | {origin.steps} |
{metrics}
Log-probabilities agree with the trained model{_as_rounded(told)} to {told.parity:.1e} over several
stateful calls; {invariant}.{_cost(told)}

{_cache(manifest)}Besides tokens, it knows two control tokens, `<unk>` and the line break (end of a
message); neither is ever suggested. It says what people in its corpus would write next, their
mistakes included.
{_figure_table(figures, told.baseline)}{_notes(told)}{_licence(manifest, told)}"""


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that were measured on a test text."""
    prefixes = (MODEL_PREFIX, BASELINE_PREFIX, *MODEL_ONLY)
    return {key: value for key, value in metrics.items() if key.startswith(prefixes)}


def _figure_table(figures: Mapping[str, float], baseline: str) -> str:
    """The figures as a section, those of a baseline in a column of their own."""
    own = [key for key in figures if not key.startswith(BASELINE_PREFIX)]
    if not own:
        return ""
    rows = [["on the test text", "this model"], ["---", "---"]]
    rows += [[key, str(figures[key])] for key in own]
    if len(own) < len(figures):
        twins = [BASELINE_PREFIX + key.removeprefix(MODEL_PREFIX) for key in own]
        for row, cell in zip(rows, [baseline, "---", *map(figures.get, twins)], strict=True):
            row.append("" if cell is None else str(cell))
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"\n## Figures\n\n{lines}"


def _as_rounded(told: Told) -> str:
    return "" if told.storage == "float32" else f", its weights rounded to {told.storage},"


def _cost(told: Told) -> str:
    """What the rounding itself changed."""
    if told.storage == "float32":
        return ""
    return f"\nThe rounding itself changed them by at most {told.rounding:.1e} over the same calls."


def _cache(manifest: Manifest) -> str:
    """The continuous cache that the bundle names."""
    cache = manifest.cache
    if cache is None:
        return ""
    when = "unless they decline it" if cache.by_default else "where they ask for it"
    return (
        f"Sessions have a continuous cache {when}: {cache.size} words, theta {cache.theta}, "
        f"share {cache.share}, tuned on validation text.\n\n"
    )


def _notes(told: Told) -> str:
    return f"\n## What was compared\n\n{told.notes.strip()}\n" if told.notes else ""


def _licence(manifest: Manifest, told: Told) -> str:
    licence = manifest.provenance.licence
    text = f"\n## Licence\n\n{licence}\n" if licence else ""
    return text + (f"\n```\n{told.licence_text.strip()}\n```\n" if told.licence_text else "")
