"""Study `language`: every cell as a language model with the same number of weights.

Must not know: how a net is trained, how a text is read.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from training.config import CELLS
from training.studies.agreement import write_corpus
from training.studies.contest import Entry, Rules, enter, perplexity
from training.studies.contest_text import Text, read_text
from training.studies.language_figure import draw
from training.studies.ranking import Ranking, rank
from training.studies.study import Findings, Options, Row, Study

MAX_TRAINING_TOKENS = 300_000
"""Of a corpus that is given; it bounds the study's time."""
_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

ON_A_CORPUS = Rules(
    tokens=MAX_TRAINING_TOKENS,
    held_out=30_000,
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
    rules = _rules(options)
    name = "a corpus that the study makes" if options.data is None else options.data.resolve().name
    text = _own_text(options, rules) if options.data is None else _text(options.data, rules)
    started_s = time.process_time()
    entries: dict[str, Entry] = {cell: enter(cell, text, rules) for cell in CELLS}
    took_s = time.process_time() - started_s
    ranking = rank({cell: entry.losses for cell, entry in entries.items()})
    ranked = [entries[cell] for cell in sorted(CELLS, key=list(ranking.means).index)]
    held_out = "validation" if text.test is None else "test"
    return Findings(
        rows=[_row(entry, ranking) for entry in ranked],
        draw=partial(draw, entries=ranked, held_out=held_out),
        outcome=[
            _order(ranked, ranking, held_out),
            *(_comparison(entries[one], entries[other], ranking) for one, other in _PAIRS),
            _search(ranked, rules),
            _speed(ranked),
            f"All nets together took {took_s / 60:.1f} minutes of processor time.",
        ],
        seeds=rules.seeds,
        setting=_setting(name, text, rules, ranked),
    )


def _rules(options: Options) -> Rules:
    rules = ON_ITS_OWN if options.data is None else ON_A_CORPUS
    if options.quick:
        rules = replace(rules, tokens=2_000, held_out=400, hidden=32, rates=(1e-2,), seeds=2)
    return rules if options.seeds is None else replace(rules, seeds=options.seeds)


def _own_text(options: Options, rules: Rules) -> Text:
    with tempfile.TemporaryDirectory() as folder:
        sentences = _QUICK_SENTENCES if options.quick else _SENTENCES
        write_corpus(Path(folder), sentences, _CORPUS_SEED)
        return _text(Path(folder), rules)


def _text(place: Path, rules: Rules) -> Text:
    return read_text(place, rules.vocabulary, rules.tokens, rules.held_out)


def _row(entry: Entry, ranking: Ranking) -> Row:
    perplexities = entry.perplexities
    return {
        "cell": entry.cell,
        "place": _place(entry, ranking),
        "perplexity": fmean(perplexities),
        "lowest": min(perplexities),
        "highest": max(perplexities),
        "validation_perplexity": fmean(perplexity(trial.valid_loss) for trial in entry.trials),
        "rate": entry.rate,
        "validation_by_rate": "; ".join(
            f"{trial.rate:g}: {perplexity(trial.valid_loss):.1f}" for trial in entry.sweep
        ),
        "units": entry.hidden,
        "weights": entry.weights,
        "tokens_per_s": round(entry.tokens_per_s),
    }


def _place(entry: Entry, ranking: Ranking) -> str:
    best, worst = ranking.places(entry.cell)
    return f"{best}" if best == worst else f"{best} to {worst}"


def _order(ranked: Sequence[Entry], ranking: Ranking, held_out: str) -> str:
    """Mean perplexities in order, and the places that chance leaves open."""
    places = (
        f"{entry.cell} {fmean(entry.perplexities):.1f} (place {_place(entry, ranking)})"
        for entry in ranked
    )
    margin = "unknown" if math.isnan(ranking.margin) else f"{math.expm1(ranking.margin):.1%}"
    return (
        f"Mean perplexity on the {held_out} text, in order: {', '.join(places)}. Differences below "
        f"two standard errors ({margin}; of the seeds alone) leave the order open."
    )


def _comparison(one: Entry, other: Entry, ranking: Ranking) -> str:
    """By how much one cell is better or worse than another."""
    difference = ranking.means[one.cell] - ranking.means[other.cell]
    if not math.isfinite(difference):
        return f"{one.cell} against {other.cell}: no comparison, as a run diverged."
    verdict = "more than" if ranking.differ(one.cell, other.cell) else "within"
    return (
        f"{one.cell} against {other.cell}: perplexity {math.expm1(difference):+.1%}, {verdict} two "
        "standard errors."
    )


def _search(ranked: Sequence[Entry], rules: Rules) -> str:
    """The rates that were best, and whether any lies at the edge of what there was to try."""
    rates = ", ".join(f"{entry.cell} {entry.rate:g}" for entry in ranked)
    edges = [entry.cell for entry in ranked if entry.rate in {rules.rates[0], rules.rates[-1]}]
    return f"Best learning rates: {rates}; at the edge of the search: {', '.join(edges) or 'none'}."


def _speed(ranked: Sequence[Entry]) -> str:
    fastest, *_, slowest = sorted(ranked, key=lambda entry: -entry.tokens_per_s)
    return (
        f"Training speed at this size: from {slowest.tokens_per_s:,.0f} tokens/s ({slowest.cell}) "
        f"to {fastest.tokens_per_s:,.0f} ({fastest.cell}), by processor time on one thread."
    )


def _setting(name: str, text: Text, rules: Rules, ranked: Sequence[Entry]) -> str:
    weights = [entry.weights for entry in ranked]
    return f"""\
Corpus: {name}, read as {text.mode} text (pretokenised if `<unk>` stands in the training text as a
word of its own, else natural); the first {len(text.train):,} training tokens ({rules.tokens:,} at
most), {rules.passes} pass(es); {text.vocabulary:,} tokens of vocabulary, made from the whole
training text; {text.unknown:.1%} of the first {rules.held_out:,} held-out tokens that count here
are unknown to it, so perplexities do not compare with published ones. Nets: one layer, tied
embedding of {rules.embedding}, widths chosen for the LSTM's number of weights ({min(weights):,} to
{max(weights):,}, {max(weights) / min(weights) - 1:.2%} apart). Training: {rules.batch} streams,
truncated BPTT over {rules.bptt} tokens with the state carried, a stream forgotten with a chance of
{rules.forget:g} a window, AdamW, one cycle, clip at 1, no dropout, float32. Each cell's rate is the
best by validation with one seed, starting from the middle of
{", ".join(f"{rate:g}" for rate in rules.rates)} and going on to the neighbours of the best; the
other seeds are trained at that rate. Speeds are by processor time, of the fastest trial; other work
on the machine still costs some, as cores share caches."""


STUDY = Study(
    name="language",
    title="Language models of equal size, one cell each",
    expected="""\
Gated cells beat the plain tanh RNN clearly, the GRU and the LSTM are close (Chung 2014); on
language modelling the LSTM with an open forget gate is at least as good as the GRU (Jozefowicz
2015). Peepholes and coupled gates (CIFG) change little: no variant is significantly better than the
plain LSTM (Greff 2017), and peepholes help where time has to be measured (Gers 2002), not words.
A ReLU RNN that is started with care comes near the LSTM on some tasks (Le 2015).""",
    run=run,
    reads_corpus=True,
)
