"""Study `language`: every cell as a language model with the same number of weights.

Must not know: how a net is trained, how a text is read.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from training.config import CELLS
from training.studies.agreement import write_corpus
from training.studies.contest import Entry, Rules, Text, enter, read_text
from training.studies.language_figure import draw
from training.studies.ranking import Ranking, rank
from training.studies.study import Findings, Options, Row, Study

MAX_TRAINING_TOKENS = 300_000
"""Of a corpus that is given; it bounds the study's time."""
_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

ON_A_CORPUS = Rules(
    tokens=MAX_TRAINING_TOKENS,
    held_out=50_000,
    vocabulary=5_000,
    embedding=64,
    hidden=200,
    rates=_RATES,
    seeds=3,
)
ON_ITS_OWN = Rules(
    tokens=100_000,
    held_out=10_000,
    vocabulary=1_000,
    embedding=32,
    hidden=100,
    rates=_RATES,
    seeds=3,
)
_SENTENCES = 8_000
"""Of the corpus that the study writes itself, some 14 tokens each."""
_QUICK_SENTENCES = 200
_CORPUS_SEED = 1

_PAIRS = (
    ("rnn_tanh", "lstm"),
    ("rnn_relu", "lstm"),
    ("gru", "lstm"),
    ("peephole_lstm", "lstm"),
    ("cifg_lstm", "lstm"),
    ("cifg_peephole_lstm", "cifg_lstm"),
    ("gru_reset_before", "gru"),
)
"""What is compared with what."""


def run(options: Options) -> Findings:
    """Read or write a corpus and let every cell learn it."""
    started_s = time.process_time()
    rules = _rules(options)
    if options.data is not None:
        text, name = read_text(options.data, rules), options.data.resolve().name
    else:
        text, name = _own_text(rules, options), "a corpus made up by the study"
    found = {cell: enter(cell, text, rules) for cell in CELLS}
    ranking = rank({cell: entry.losses for cell, entry in found.items()})
    entries = {cell: found[cell] for cell in CELLS}
    ranked = [found[cell] for cell in sorted(CELLS, key=list(ranking.means).index)]
    held_out = "validation" if text.test is None else "test"
    return Findings(
        rows=[_row(entry, ranking) for entry in ranked],
        draw=partial(draw, entries=ranked, held_out=held_out),
        outcome=[
            _order(ranked, ranking, held_out),
            *(_comparison(entries, ranking, *pair) for pair in _PAIRS),
            _speed(ranked),
            _sizes(ranked),
            f"All took {(time.process_time() - started_s) / 60:.1f} minutes of processor time.",
        ],
        seeds=rules.seeds,
        setting=_setting(name, text, rules, held_out),
    )
