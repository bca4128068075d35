"""Study `truncation`: how far back a net learns to recall, by window and by what becomes of state.

Must not know: how figures are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.cells import State, build_layer
from training.studies.learner import Net, Training, learn
from training.studies.study import Findings, Options, Study
from training.studies.tasks import (
    NOT_ASKED,
    STREAM_ALPHABET,
    STREAM_INPUTS,
    Stream,
    draw_stream,
    held_out_chance,
    training_chance,
)
from training.studies.truncation_figure import draw
from training.studies.truncation_told import Curve, Kind, rows, sentences

SOLVED_BELOW = 0.01
"""The share of questions answered wrongly, all lags counting alike."""
_LOOKS_A_RUN = 10


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    windows: Sequence[int]
    lags: Sequence[int]
    hidden: int
    streams: int
    """Streams side by side."""
    updates: int
    """Windows a net learns from, at most."""
    held_out: int
    """Steps of the held-out streams."""
    seeds: int
    learning_rate: float = 1e-2


FULL = Sizes(
    windows=(5, 10, 20, 40),
    lags=(2, 4, 8, 16, 24, 32),
    hidden=32,
    streams=32,
    updates=2000,
    held_out=1200,
    seeds=5,
)
QUICK = Sizes(windows=(2, 4), lags=(1, 3), hidden=8, streams=4, updates=10, held_out=60, seeds=1)

KINDS = (
    Kind("lstm", one_lag=True, carried=True),
    Kind("lstm", one_lag=False, carried=True),
    Kind("rnn_tanh", one_lag=False, carried=True),
    Kind("lstm", one_lag=False, carried=False),
)


def run(options: Options) -> Findings:
    """Train nets of every kind on every window, and ask them at every lag."""
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    curves = [
        curve
        for kind in KINDS
        for window in sizes.windows
        for curve in _curves(sizes, kind, window, seeds)
    ]
    return Findings(
        rows=rows(curves),
        draw=partial(draw, curves=curves),
        outcome=sentences(curves),
        seeds=seeds,
        setting=_setting(sizes),
    )


def read(
    net: Net, stream: Stream, window: int, *, carried: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Read a stream window by window; read-outs [W, B, O], targets and lags [W, B] of each.

    The state goes from window to window cut from the graph, or is zero at the start of each.
    """
    state: State | None = None
    for start in range(0, len(stream.ids_TB) - window + 1, window):
        x_WBI, targets_WB = stream.window(start, window)
        read_WBO, last = net(x_WBI, state)
        state = tuple(part.detach() for part in last) if carried else None
        yield read_WBO, targets_WB, stream.lags_TB[start : start + window]


@torch.no_grad()
def recall(net: Net, stream: Stream, window: int, *, carried: bool) -> dict[int, float]:
    """The share of questions answered rightly, by lag."""
    span = len(stream.ids_TB) if carried else window  # a carried state knows of no windows
    right, lags = [], []
    for read_WBO, targets_WB, lags_WB in read(net, stream, span, carried=carried):
        asked_WB = targets_WB != NOT_ASKED
        right.append((read_WBO.argmax(2) == targets_WB)[asked_WB])
        lags.append(lags_WB[asked_WB])
    right_N, lags_N = torch.cat(right).float(), torch.cat(lags)
    return {int(lag): right_N[lags_N == lag].mean().item() for lag in lags_N.unique()}


def question_loss(read_WBO: Tensor, targets_WB: Tensor) -> Tensor:
    """Mean cross entropy of the questions in a window, in nats; 0 where there is none."""
    total = cross_entropy(
        read_WBO.flatten(0, 1), targets_WB.flatten(), ignore_index=NOT_ASKED, reduction="sum"
    )
    return total / (targets_WB != NOT_ASKED).sum().clamp(min=1)


def _curves(sizes: Sizes, kind: Kind, window: int, seeds: int) -> list[Curve]:
    """The recall of nets of one kind and window: as they were trained, and with state carried."""
    nets = [[lag] for lag in sizes.lags] if kind.one_lag else [list(sizes.lags)]
    tests = (True,) if kind.carried else (False, True)
    found: dict[bool, dict[int, list[float]]] = {carried: {} for carried in tests}
    for lags in nets:
        for seed in range(1, seeds + 1):
            net, held_out = _train(sizes, kind, window, lags, seed)
            for carried in tests:
                for lag, share in recall(net, held_out, window, carried=carried).items():
                    found[carried].setdefault(lag, []).append(share)
    return [Curve(kind, window, carried, by_lag) for carried, by_lag in found.items()]


def _train(
    sizes: Sizes, kind: Kind, window: int, lags: Sequence[int], seed: int
) -> tuple[Net, Stream]:
    """A trained net and the held-out streams of its lags."""
    torch.manual_seed(seed)
    net = Net(build_layer(kind.cell, STREAM_INPUTS, sizes.hidden), STREAM_ALPHABET)
    stream = draw_stream(lags, sizes.updates * window, sizes.streams, training_chance(seed))
    held_out = draw_stream(lags, sizes.held_out, sizes.streams, held_out_chance())
    windows = read(net, stream, window, carried=kind.carried)

    def batch_loss() -> Tensor:
        read_WBO, targets_WB, _ = next(windows)
        return question_loss(read_WBO, targets_WB)

    def error() -> float:
        shares = recall(net, held_out, window, carried=kind.carried).values()
        return 1 - sum(shares) / len(shares)

    training = Training(
        max_steps=sizes.updates,
        learning_rate=sizes.learning_rate,
        solved_below=SOLVED_BELOW,
        check_every=sizes.updates // _LOOKS_A_RUN,
    )
    learn(net, training, batch_loss, error)
    return net, held_out


def _setting(sizes: Sizes) -> str:
    return (
        f"{sizes.streams} streams side by side of symbols out of {STREAM_ALPHABET}: a symbol, "
        "blanks, the question for it one lag later, 1 to 5 blanks, the next symbol. A net of one "
        f"layer of {sizes.hidden} units and a linear read-out learns from {sizes.updates} windows "
        "in a row (so longer windows see more of the stream), an update a window, with Adam at "
        f"{sizes.learning_rate:g} and gradients clipped at a norm of 1, and stops early when it "
        f"answers {1 - SOLVED_BELOW:.0%} of the held-out questions as it was trained. State is "
        "handed from window to window, cut from the graph (carried), or starts from zero in each "
        "(zeroed). `one lag`: every net learns one lag, in a stream of its own; `all lags`: one "
        f"net learns them all in one stream. Tested on {sizes.held_out} steps of held-out streams, "
        "with the state carried, and what was trained with the state zeroed also in that way. "
        "`ceiling` is what a net without fault would reach; guessing is right once in "
        f"{STREAM_ALPHABET}. `recall` and `sd` are mean and standard deviation over the seeds; "
        "bars in the figure reach from the lowest seed to the highest."
    )


STUDY = Study(
    name="truncation",
    title="What truncated back-propagation lets a net recall",
    expected=(
        "Williams & Peng 1990: with back-propagation truncated to a window, credit reaches back no "
        "farther than the window, so that a dependency longer than it is not learnt, though the "
        "state that is carried on may still hold the past. State zeroed at each window limits what "
        "can be recalled to the window, in training and in use. What their argument leaves open: "
        "keeping a symbol is learnt once for all lags, so lags within the window may teach what "
        "serves beyond it."
    ),
    run=run,
)
