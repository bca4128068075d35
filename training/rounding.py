"""A model's weights, rounded to what a small file can hold: halves, or bytes.

Must not know: graphs, files.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from training.config import Storage
from training.model import LanguageModel
from training.quantization import to_bytes


@torch.no_grad()
def round_weights(model: LanguageModel, storage: Storage) -> None:
    """Round a model's weights in place to what the storage can hold.

    Bytes are for matrices only: biases, peepholes and gains stay as they are. WeightsError where
    a matrix that is to be bytes holds what is no number.
    """
    if storage == "float16":
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    elif storage == "int8":
        for matrix in _matrices(model):
            matrix.copy_(torch.from_numpy(to_bytes(matrix.numpy()).floats()))


def _matrices(model: LanguageModel) -> Iterator[torch.Tensor]:
    """Every matrix whose rows are multiplied with a vector, or looked up."""
    yield model.embedding
    for layer in model.layers:
        yield from (layer.weight_ih, layer.weight_hh)
    if model.projection is not None:
        yield model.projection.weight
    if model.output is not None:
        yield model.output
