"""From a Keras model's weights and vocabulary to a bundle.

Keras' Embedding, one or more recurrent layers, and a Dense softmax over the vocabulary, all with
their default activations and a bias each; the arrays are listed in `training.keras_arrays`, the
rules of the vocabulary in `training.keras_words`. A control token that the model has no row for
gets one that is never predicted: its embedding and its output weights are zeros, its bias so low
that in float32 its probability is 0 and takes nothing from the others. What is read there, an
unknown word or the line break that a fresh session begins with, is a vector of zeros.
Must not know: corpora, optimisers, the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from models.manifest import Provenance
from models.text import Tokenizer
from training.arrays import Floats, fill
from training.cells import Layer
from training.config import Cell, ModelConfig
from training.errors import WeightsError
from training.export import Packing, describe, write_bundle
from training.keras_arrays import (
    GATES,
    PEEPHOLES,
    Arrays,
    KerasCell,
    check_shapes,
    layer_count,
    read_arrays,
)
from training.keras_words import read_vocabulary
from training.model import LanguageModel

NEVER = -1e4
"""The output bias of a token that is never predicted: exp of it is 0 in float32."""

Activation = Literal["tanh", "relu"]


@dataclass(frozen=True)
class KerasModel:
    """What a model is imported from."""

    weights: Path
    words: Path
    cell: KerasCell
    activation: Activation = "tanh"
    """Of a simple RNN; the other cells have no choice."""


def import_keras(
    source: KerasModel, repository: Path, name: str, version: int, packing: Packing
) -> Path:
    """Write a Keras model as a bundle and return its folder.

    Raises WeightsError, ParityError, BundleFormatError (a bad name), BundleExistsError.
    """
    if source.activation == "relu" and source.cell != "simple_rnn":
        raise WeightsError(f"an activation of relu is for simple_rnn, not for {source.cell}")
    dtype = np.float16 if packing.storage == "float16" else np.float32
    arrays = read_arrays(source.weights, source.cell, dtype)
    check_shapes(source.cell, arrays)
    vocabulary = read_vocabulary(source.words, len(arrays["embedding"]))
    model = build_model(source, arrays, vocabulary.rows)
    provenance = Provenance(
        recipe="import-keras",
        corpus=f"unknown (weights of {source.weights.name})",
        corpus_sha256="",
        steps=0,
        licence=packing.licence,
    )
    manifest = describe(model, name, version, provenance)
    tokenizer = Tokenizer.from_tokens(vocabulary.words, "pretokenised")
    return write_bundle(model, tokenizer, manifest, repository, packing)


def build_model(source: KerasModel, arrays: Arrays, rows: Sequence[int | None]) -> LanguageModel:
    """The model with these weights, whose token i is `rows[i]` of the arrays."""
    config = ModelConfig(
        cell=_cell(source, arrays),
        layers=layer_count(arrays),
        embedding=arrays["embedding"].shape[1],
        hidden=len(arrays["dense.kernel"]),
        vocabulary=len(rows),
        tied=False,
    )
    model = LanguageModel(config)
    fill(model.embedding, _pick(arrays["embedding"], rows, 0.0))
    for number, layer in enumerate(model.layers):
        _fill_layer(layer, source.cell, arrays, f"layer{number}")
    assert model.output is not None  # as it is untied
    fill(model.output, _pick(arrays["dense.kernel"].T, rows, 0.0))
    fill(model.output_bias, _pick(arrays["dense.bias"], rows, NEVER))
    return model


def _cell(source: KerasModel, arrays: Arrays) -> Cell:
    """Our name of the cell; where a GRU resets is told by the number of its biases."""
    if source.cell == "simple_rnn":
        return "rnn_relu" if source.activation == "relu" else "rnn_tanh"
    if source.cell == "gru":
        return "gru" if arrays["layer0.bias"].ndim == 2 else "gru_reset_before"
    return source.cell


def _fill_layer(layer: Layer, cell: KerasCell, arrays: Arrays, name: str) -> None:
    """Put a layer's arrays into its parameters, transposed and gate by gate in our order."""

    def stack(columns: Floats) -> Floats:
        parts = np.split(columns, len(GATES[cell]), axis=-1)
        by_gate = dict(zip(GATES[cell], parts, strict=True))
        return np.concatenate([by_gate[gate] for gate in layer.gates], axis=-1)

    bias = stack(arrays[f"{name}.bias"])
    bias_ih, bias_hh = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    fill(layer.weight_ih, stack(arrays[f"{name}.kernel"]).T)
    fill(layer.weight_hh, stack(arrays[f"{name}.recurrent_kernel"]).T)
    fill(layer.bias_ih, bias_ih)
    fill(layer.bias_hh, bias_hh)
    if layer.peephole is not None:
        fill(layer.peephole, np.stack([arrays[f"{name}.{part}"] for part in PEEPHOLES]))


def _pick(array: Floats, rows: Sequence[int | None], absent: float) -> Floats:
    """The rows in this order, `absent` all over where there is none."""
    picked = array[[row or 0 for row in rows]]
    picked[[row is None for row in rows]] = absent
    return picked
