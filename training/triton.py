"""The `config.pbtxt` with which a merged graph drops into NVIDIA Triton as a sequence model.

Must not know: torch, weights.
"""

from __future__ import annotations

from models.bundle import Manifest
from training.graphs import MERGED_K

_MAX_BATCH = 64


def triton_config(manifest: Manifest) -> str:
    """Triton's model configuration: Triton keeps each sequence's state between its requests.

    The states begin as zeros; `lengths` is a number a row, which Triton writes as dims [1]
    reshaped to [].
    """
    hidden, vocabulary = manifest.architecture.hidden, manifest.architecture.vocabulary
    states = "\n".join(_state(tensor.name, hidden) for tensor in manifest.state)
    return f"""name: "{manifest.name}"
platform: "onnxruntime_onnx"
max_batch_size: {_MAX_BATCH}
input [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }},
  {{ name: "lengths" data_type: TYPE_INT32 dims: [ 1 ] reshape: {{ shape: [ ] }} }}
]
output [
  {{ name: "log_probs" data_type: TYPE_FP32 dims: [ {vocabulary} ] }},
  {{ name: "top_log_probs" data_type: TYPE_FP32 dims: [ {MERGED_K} ] }},
  {{ name: "top_ids" data_type: TYPE_INT64 dims: [ {MERGED_K} ] }}
]
sequence_batching {{
  oldest {{ max_candidate_sequences: 1024 }}
{states}
}}
"""


def _state(name: str, hidden: int) -> str:
    zeros = f'{{ data_type: TYPE_FP32 dims: [ {hidden} ] zero_data: true name: "zeros" }}'
    return (
        f'  state {{ input_name: "{name}" output_name: "{name}_out" data_type: TYPE_FP32 '
        f"dims: [ {hidden} ]\n    initial_state: {zeros} }}"
    )
