"""A bundle's weights as a model of torch, to be trained on: the export the other way round.

What was rounded at export stays rounded; batch normalisation stays folded into the weights.
Must not know: corpora, optimisers, how the graphs are written.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from models.bundle import Bundle
from models.errors import GraphError
from models.weights import GraphWeights, LayerWeights, read_layer
from training.arrays import fill
from training.cells import Layer
from training.config import Cell, check_model_config
from training.errors import ConfigError
from training.model import LanguageModel
from training.normalization import LayerNorms


def model_of(bundle: Bundle) -> LanguageModel:
    """The model that a bundle was exported from, or one that answers as it does.

    Raises ConfigError where it has a cell that cannot be trained, GraphError where its graphs were
    not written by nextword.
    """
    shape = bundle.manifest.architecture
    if shape.cell not in get_args(Cell):
        raise ConfigError(f"the cell {shape.cell!r} cannot be trained")
    model = LanguageModel(check_model_config(shape.model_dump()))
    try:
        _fill_model(model, bundle)
    except ValueError as error:
        raise GraphError(f"the graphs disagree with the manifest: {error}") from error
    return model.eval()


def _fill_model(model: LanguageModel, bundle: Bundle) -> None:
    recurrent, head = (GraphWeights(graph) for graph in bundle.graphs())
    fill(model.embedding, recurrent["embedding"])
    for number, layer in enumerate(model.layers):
        weights = read_layer(recurrent, layer.kind, number, model.config.hidden)
        _fill_layer(layer, weights)
    if model.projection is not None:
        fill(model.projection.weight, head["projection"].T)
        fill(model.projection.bias, head["projection_bias"])
    if model.output is not None:
        fill(model.output, head["output"].T)
    fill(model.output_bias, head["output_bias"])


def _fill_layer(layer: Layer, weights: LayerWeights) -> None:
    """Products and biases are stacked as the layer's own are: in the order of the cell's gates."""
    R, b_R, gains = zip(*(weights.products[gates] for gates in layer.kind.products), strict=True)
    fill(layer.weight_ih, weights.W)
    fill(layer.weight_hh, np.concatenate(R))
    fill(layer.bias_ih, weights.b_W)
    fill(layer.bias_hh, np.concatenate(b_R))
    if layer.peephole is not None:
        fill(layer.peephole, np.stack([weights.peepholes[g] for g in layer.kind.peepholes]))
    if isinstance(layer.norm, LayerNorms):
        assert weights.W_gain is not None  # as the manifest says
        fill(layer.norm.gain_ih, weights.W_gain)
        fill(layer.norm.gain_hh, np.concatenate(gains))
        if weights.cell is not None:
            gain, shift = weights.cell
            fill(layer.norm.gain_c, gain)
            fill(layer.norm.shift_c, shift)
