"""What several graphs of a bundle hold is put into one file that all of them refer to.

A tied embedding stands in the recurrent graph, in the decomposed one and in the head. Stored as
bytes it lies in `embedding.bin`, as ONNX' external data: whoever opens the folder with onnx or
onnxruntime gets it, and `models.bundle.Bundle.graphs` puts it back inside.
Must not know: models, how weights are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto
from onnx.external_data_helper import set_external_data

SHARED_FILE = "embedding.bin"
SHARED = ("embedding_scale", "embedding_i8")
"""What is shared, in the order of the file: first what wants to lie at a multiple of four."""


def share_embedding(graphs: Mapping[str, bytes]) -> dict[str, bytes]:
    """The graphs by file name, and the file of what at least two of them hold, if there is any."""
    parsed = {name: onnx.load_model_from_string(content) for name, content in graphs.items()}
    holders = {name: model for name, model in parsed.items() if len(_shared(model)) == len(SHARED)}
    if len(holders) < 2:
        return dict(graphs)
    shared, *others = (_shared(model) for model in holders.values())
    assert all(other == shared for other in others)  # they were written from one model
    content = b"".join(shared[name].raw_data for name in SHARED)
    for model in holders.values():
        _refer(_shared(model))
    thinner = {name: model.SerializeToString(deterministic=True) for name, model in holders.items()}
    return {**graphs, **thinner, SHARED_FILE: content}


def _shared(model: onnx.ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in SHARED}


def _refer(tensors: dict[str, TensorProto]) -> None:
    """Take the tensors' bytes out and say where in the file they lie."""
    offset = 0
    for name in SHARED:
        length = len(tensors[name].raw_data)
        set_external_data(tensors[name], SHARED_FILE, offset, length)
        tensors[name].ClearField("raw_data")
        offset += length
