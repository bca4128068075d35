"""Runs a bundle's two graphs on one batch: the only place that imports onnxruntime.

Guards what the kernels do not survive: an empty batch, an empty row, an id outside the
vocabulary, a state that is no number.
Must not know: sessions, queues, words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.bundle import Bundle
from service.errors import ModelFaultError, StartError

Floats = NDArray[np.float32]
State = tuple[Floats, ...]
"""One row's recurrent state: an array [H] for each state tensor, in the manifest's order."""

Provider = Literal["cpu", "cuda"]
_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class Memory:
    """What a model remembers of a text: its recurrent state, and the last hidden vector [D]."""

    state: State
    hidden: Floats


@dataclass(frozen=True)
class Reading:
    """What reading a row came to: the memory behind it, and the hidden vector behind each token."""

    memory: Memory
    hidden_TD: Floats


@dataclass(frozen=True)
class Scores:
    """What may follow each of N rows: all log-probabilities, and the best k of them in order."""

    log_probs_NV: Floats
    top_ids_NK: NDArray[np.int64]
    top_log_probs_NK: Floats


class Runner:
    """One model loaded for one provider."""

    def __init__(self, bundle: Bundle, provider: Provider, threads: int) -> None:
        """Load both graphs; StartError where the provider is not there."""
        self._vocabulary = bundle.manifest.architecture.vocabulary
        self._hidden = bundle.manifest.architecture.hidden
        self._state_names = [tensor.name for tensor in bundle.manifest.state]
        self._outputs = ["hidden", *(f"{name}_out" for name in self._state_names)]
        check_provider(provider)
        if provider == "cuda":
            ort.preload_dlls()  # the libraries that nextword[gpu] installs beside onnxruntime
        fused = provider == "cpu" and bundle.manifest.batch_invariant
        recurrent, head = bundle.graphs(fused=fused)
        self._recurrent = _open(recurrent, provider, threads)
        self._head = _open(head, provider, threads)

    def initial_state(self) -> State:
        """The state before the first token: zeros."""
        return tuple(np.zeros(self._hidden, np.float32) for _ in self._state_names)

    def read(
        self, rows: Sequence[Sequence[int]], states: Sequence[State]
    ) -> list[Reading | ModelFaultError]:
        """Read each row's token ids from its state; what that came to, row by row.

        A row whose state is no longer finite gets a ModelFaultError in its place. Raises one for
        the whole batch where a row is empty or an id is outside the vocabulary.
        """
        if not rows or min(map(len, rows)) == 0:
            raise ModelFaultError("a batch and each of its rows must hold something")
        lengths_B = np.array([len(row) for row in rows], np.int32)
        ids_BT = np.zeros((len(rows), int(lengths_B.max())), np.int64)
        for ids_T, row in zip(ids_BT, rows, strict=True):
            ids_T[: len(row)] = row
        if ids_BT.min() < 0 or ids_BT.max() >= self._vocabulary:
            raise ModelFaultError("a token id is outside the vocabulary")
        feeds = {"input_ids": ids_BT, "lengths": lengths_B}
        for name, parts in zip(self._state_names, zip(*states, strict=True), strict=True):
            feeds[name] = np.stack(parts)[None]
        hidden_BTD, *state_1BH = self._recurrent.run(self._outputs, feeds)
        finite_B = np.logical_and.reduce([np.isfinite(part[0]).all(axis=1) for part in state_1BH])
        return [
            Reading(
                Memory(tuple(part[0, b].copy() for part in state_1BH), hidden_BTD[b, n - 1].copy()),
                hidden_BTD[b, :n],
            )
            if finite_B[b]
            else ModelFaultError("the model's state is no longer a number")
            for b, n in enumerate(lengths_B)
        ]

    def score(self, hidden: Sequence[Floats], k: int) -> Scores:
        """What may follow each hidden [D], with the best `k` (at most the vocabulary)."""
        if not hidden:
            raise ModelFaultError("a batch must hold something")
        feeds = {"hidden": np.stack(hidden), "k": np.array([min(k, self._vocabulary)], np.int64)}
        outputs = ["log_probs", "top_ids", "top_log_probs"]
        scores = Scores(*self._head.run(outputs, feeds))
        if np.isnan(scores.top_log_probs_NK).any():
            raise ModelFaultError("the model's scores are no numbers")
        return scores


def check_provider(provider: Provider) -> None:
    """Raise StartError where this onnxruntime has no such provider."""
    available = ort.get_available_providers()
    if _PROVIDERS[provider] not in available:
        raise StartError(
            f"NEXTWORD_PROVIDER={provider} needs onnxruntime's {_PROVIDERS[provider]}, but this "
            f"one has {', '.join(available)}: install nextword[gpu] on a machine with an NVIDIA "
            "GPU, or choose cpu"
        )


def session_options(provider: Provider, threads: int) -> ort.SessionOptions:
    """How a graph is run; on a GPU, a node that would fall back to the CPU is an error."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if provider != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _open(graph: bytes, provider: Provider, threads: int) -> ort.InferenceSession:
    options = session_options(provider, threads)
    wanted = _PROVIDERS[provider]
    session = ort.InferenceSession(graph, options, providers=[wanted])
    if session.get_providers()[0] != wanted:  # onnxruntime falls back without a word
        raise StartError(f"onnxruntime could not start {wanted}; its log says why")
    return session
