"""The language model: embedding -> recurrent layers -> (projection ->) head.

Must not know: corpora, optimisers, ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, log_softmax, pad

from training.cells import Layer, State, build_layer
from training.config import ModelConfig
from training.loss import linear_cross_entropy, sampled_cross_entropy
from training.regularize import embedding_with_dropout, locked_dropout

ModelState = tuple[State, ...]
"""One cell state a layer."""


class _Layers(nn.ModuleList):
    """A ModuleList that tells the type checker what is in it."""

    def __iter__(self) -> Iterator[Layer]:
        """The layers in order."""
        return cast("Iterator[Layer]", super().__iter__())


class LanguageModel(nn.Module):
    """Predicts the next token from all before it, a fixed-size state between calls.

    With `tied`, the head is the embedding itself, reached through a projection H -> E
    (Press & Wolf 2017); else a matrix of its own, H -> V.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Build a model with fresh weights."""
        super().__init__()
        self.config = config
        sizes = [config.embedding] + [config.hidden] * config.layers
        self.embedding = nn.Parameter(torch.empty(config.vocabulary, config.embedding))
        self.layers = _Layers(
            build_layer(
                config.cell,
                inputs,
                hidden,
                normalization=config.normalization,
                start=config.start,
                weight_drop=config.dropout_weights,
            )
            for inputs, hidden in pairwise(sizes)
        )
        self.projection = nn.Linear(config.hidden, config.embedding) if config.tied else None
        self.output = (
            None if config.tied else nn.Parameter(torch.empty(config.vocabulary, config.hidden))
        )
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary))
        for matrix in (self.embedding, self.output):
            if matrix is not None:
                nn.init.uniform_(matrix, -0.1, 0.1)

    def compiled(self) -> Callable[[Tensor, ModelState], tuple[Tensor, ModelState]]:
        """`forward` by way of torch.compile; the model itself and its weights' names stay."""
        for layer in self.layers:
            layer.keep_kernel_whole()
        return torch.compile(self)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.embedding.device

    def initial_state(self, batch: int) -> ModelState:
        """A state of zeros for `batch` streams."""
        return tuple(layer.initial_state(batch) for layer in self.layers)

    def forward(self, ids_TB: Tensor, state: ModelState) -> tuple[Tensor, ModelState]:
        """Read T tokens of B streams; the last layer's hidden [T, B, H] and the new state."""
        x = self._drop(self._embed(ids_TB), self.config.dropout_embedding)
        new_state = []
        for number, (layer, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            if number > 0:
                x = self._drop(x, self.config.dropout_layers)
            x, new_layer_state = layer(x, layer_state)
            new_state.append(new_layer_state)
        return x, tuple(new_state)

    def drop_output(self, hidden_TBH: Tensor) -> Tensor:
        """What the head sees in training, in float32; in evaluation all of it."""
        return self._drop(hidden_TBH.float(), self.config.dropout_output)

    def loss(
        self, hidden_TBH: Tensor, targets_TB: Tensor, dtype: torch.dtype, samples: int = 0
    ) -> Tensor:
        """Mean cross entropy of the targets, in nats a token; products of the head in `dtype`.

        With `samples`, over the targets and about as many more words (`sampled_cross_entropy`).
        """
        features, targets_N = self.features(hidden_TBH).flatten(0, 1), targets_TB.flatten()
        weight, bias = self.output_weight(), self.output_bias
        if samples:
            return sampled_cross_entropy(features, weight, bias, targets_N, samples, dtype)
        return linear_cross_entropy(features, weight, bias, targets_N, dtype)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """The log-probability of every next token; [..., V] from hidden [..., H]."""
        logits = self.features(hidden) @ self.output_weight().t() + self.output_bias
        return log_softmax(logits, dim=-1)

    def features(self, hidden: Tensor) -> Tensor:
        """What the output matrix is multiplied with: [..., E] if tied, else [..., H]."""
        return hidden if self.projection is None else self.projection(hidden)

    def output_weight(self) -> Tensor:
        """The output matrix, [V, E] if tied, else [V, H]."""
        return self.embedding if self.output is None else self.output

    def parameter_count(self) -> int:
        """How many weights the model has, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _embed(self, ids_TB: Tensor) -> Tensor:
        if self.training and self.config.dropout_words:
            return embedding_with_dropout(ids_TB, self.embedding, self.config.dropout_words)
        return embedding(ids_TB, self.embedding)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not (self.training and rate):
            return x
        return dropout(x, rate) if self.config.dropout_mask == "token" else locked_dropout(x, rate)


def detach(state: ModelState) -> ModelState:
    """Cut a state from the graph that made it: gradients end at the window (truncated BPTT)."""
    return tuple(tuple(part.detach().float() for part in layer) for layer in state)


def forget(state: ModelState, keep_B: Tensor) -> ModelState:
    """Zero the state of the streams whose `keep` is 0; `keep` is float [B]."""
    return tuple(tuple(part * keep_B[:, None] for part in layer) for layer in state)


def widen(state: ModelState, rows: int) -> ModelState:
    """Add rows of zeros behind the streams."""
    return tuple(tuple(pad(part, (0, 0, 0, rows)) for part in layer) for layer in state)


def narrow(state: ModelState, streams: int) -> ModelState:
    """Keep the rows of the streams only."""
    return tuple(tuple(part[:streams] for part in layer) for layer in state)


def flatten(state: ModelState) -> Sequence[Tensor]:
    """All tensors of a state, layer by layer: h, then c where there is one."""
    return [part for layer in state for part in layer]
