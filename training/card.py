"""The model card: the bundle's README.md, generated from what is known about the model.

Must not know: torch, graphs.
"""

from __future__ import annotations

from models.bundle import Manifest


def model_card(manifest: Manifest, storage: str, parity: float, licence_text: str) -> str:
    """Markdown that says what the model is, where it comes from, and how it was checked."""
    shape, origin = manifest.architecture, manifest.provenance
    tied = "tied to the embedding" if shape.tied else "a matrix of its own"
    metrics = "".join(f"| {key} | {value} |\n" for key, value in origin.metrics.items())
    licence = f"\n## Licence\n\n{origin.licence}\n" if origin.licence else ""
    quoted = f"\n```\n{licence_text.strip()}\n```\n" if licence_text else ""
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
| weights | stored as {storage}, calculated with as float32 |
| recipe | `{origin.recipe}` |
| corpus | {corpus} |
| steps | {origin.steps} |
{metrics}
Log-probabilities agree with the trained model to {parity:.1e} over several stateful calls;
{invariant}.

Besides tokens, it knows two control tokens, `<unk>` and the line break (end of a message); neither
is ever suggested. It says what people in its corpus would write next, their mistakes included.
{licence}{quoted}"""
