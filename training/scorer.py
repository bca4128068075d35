"""A trained model as something that reads token ids and scores what may follow.

Two of a kind, the torch model and the exported bundle, so that evaluation runs on either and the
export can hold one against the other.
Must not know: metrics, files.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from training.model import LanguageModel, ModelState, flatten

Floats = NDArray[np.float32]
NumpyState = list[Floats]
"""One array [1, B, H] a state tensor, in the bundle's order."""


class Scorer(Protocol):
    """Reads ragged rows of ids from a state, and scores next tokens from hidden vectors."""

    def initial_state(self, batch: int) -> NumpyState:
        """A state of zeros."""

    def read(
        self, ids_BT: NDArray[np.int64], lengths_B: NDArray[np.int32], state: NumpyState
    ) -> tuple[Floats, NumpyState]:
        """Read each row to its length; hidden [B, T, D], and the state after each row's length."""

    def log_probs(self, hidden_ND: Floats) -> Floats:
        """Log-probabilities [N, V] of the next token."""


class OnnxScorer:
    """The exported graphs under onnxruntime on the CPU."""

    def __init__(self, recurrent: bytes, head: bytes, threads: int = 0) -> None:
        """Load both graphs; `threads` 0 takes all."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        providers = ["CPUExecutionProvider"]
        self._recurrent = ort.InferenceSession(recurrent, options, providers=providers)
        self._head = ort.InferenceSession(head, options, providers=providers)
        self._state = [
            (tensor.name, tensor.shape[2])
            for tensor in self._recurrent.get_inputs()
            if tensor.name not in ("input_ids", "lengths")
        ]

    def initial_state(self, batch: int) -> NumpyState:
        """A state of zeros."""
        return [np.zeros((1, batch, hidden), np.float32) for _, hidden in self._state]

    def read(
        self, ids_BT: NDArray[np.int64], lengths_B: NDArray[np.int32], state: NumpyState
    ) -> tuple[Floats, NumpyState]:
        """Read each row to its length; hidden [B, T, D], and the state after each row's length."""
        names = [name for name, _ in self._state]
        feeds = {"input_ids": ids_BT, "lengths": lengths_B, **dict(zip(names, state, strict=True))}
        outputs = ["hidden", *(f"{name}_out" for name in names)]
        hidden_BTD, *state = self._recurrent.run(outputs, feeds)
        return hidden_BTD, state

    def log_probs(self, hidden_ND: Floats) -> Floats:
        """Log-probabilities [N, V] of the next token."""
        feeds = {"hidden": hidden_ND, "k": np.array([1], np.int64)}
        log_probs_NV: Floats = self._head.run(["log_probs"], feeds)[0]
        return log_probs_NV


class TorchScorer:
    """The torch model itself, in float32 and without dropout."""

    def __init__(self, model: LanguageModel) -> None:
        """Take a model over; it is put into evaluation mode."""
        self._model = model.eval()

    def initial_state(self, batch: int) -> NumpyState:
        """A state of zeros."""
        return [part[None].numpy().copy() for part in _parts(self._model.initial_state(batch))]

    @torch.no_grad()
    def read(
        self, ids_BT: NDArray[np.int64], lengths_B: NDArray[np.int32], state: NumpyState
    ) -> tuple[Floats, NumpyState]:
        """Read each row to its length; hidden [B, T, D], and the state after each row's length.

        Stops wherever a row ends, so that the row's state can be held back there.
        """
        ids_TB = torch.from_numpy(ids_BT.T.copy())
        lengths = torch.from_numpy(lengths_B)
        carried = self._model_state(state)
        hidden = []
        start = 0
        for end in sorted({*lengths_B.tolist(), len(ids_TB)}):
            hidden_TBD, stepped = self._model(ids_TB[start:end], carried)
            running_B1 = (lengths > start)[:, None]
            hidden.append(hidden_TBD * running_B1)
            carried = tuple(
                tuple(torch.where(running_B1, new, old) for new, old in zip(*layers, strict=True))
                for layers in zip(stepped, carried, strict=True)
            )
            start = end
        hidden_BTD = torch.cat(hidden).transpose(0, 1).numpy()
        return hidden_BTD, [part[None].numpy() for part in _parts(carried)]

    @torch.no_grad()
    def log_probs(self, hidden_ND: Floats) -> Floats:
        """Log-probabilities [N, V] of the next token."""
        log_probs_NV: Floats = self._model.log_probs(torch.from_numpy(hidden_ND)).numpy()
        return log_probs_NV

    def _model_state(self, state: NumpyState) -> ModelState:
        parts = iter(torch.from_numpy(part[0]) for part in state)
        shape = self._model.initial_state(1)
        return tuple(tuple(next(parts) for _ in layer) for layer in shape)


def _parts(state: ModelState) -> list[torch.Tensor]:
    return list(flatten(state))
