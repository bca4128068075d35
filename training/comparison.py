"""`evaluate`: a model's figures on a text, beside a baseline's, with and without a cache.

Must not know: the command line, how a figure is defined.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from models import bundle
from models.cache import CacheConfig
from models.text import Tokenizer
from training.cache import Reading, cached_perplexity, read_stream, tune_cache
from training.card import BASELINE_PREFIX, MODEL_PREFIX
from training.checkpoint import BEST_FILE, load_run
from training.corpus import encode_stream
from training.errors import CorpusError
from training.evaluate import Evaluation, evaluate, perplexity, recall
from training.kneser_ney import ORDER, KneserNey
from training.scorer import OnnxScorer, Scorer, TorchScorer
from training.texts import iter_lines, read_lines

BASELINE = f"interpolated Kneser-Ney {ORDER}-gram"
"""What a model is compared with."""

_TIMED_STEPS = 200


@dataclass(frozen=True)
class Subject:
    """A model to be measured."""

    scorer: Scorer
    tokenizer: Tokenizer
    size_bytes: int
    """Of its weights on disk, graphs or checkpoint."""


@dataclass(frozen=True)
class Wanted:
    """What is measured besides the model itself."""

    baseline: bool = False
    """Whether an n-gram model is trained on the `train.txt` beside the text, and measured too."""
    cache_size: int = 0
    """Words that a continuous cache holds, tuned on the `valid.txt` beside the text; 0 is none."""


@dataclass(frozen=True)
class Cached:
    """What a continuous cache makes of the figures."""

    config: CacheConfig
    perplexity: float
    """Over the text as one stream; an unknown word is the unknown token, as without a cache."""
    top1: float
    """As in `Evaluation`, with a cache a dialogue, words outside the vocabulary included."""
    top3: float
    keystroke_savings: float


@dataclass(frozen=True)
class Comparison:
    """All figures of one call."""

    model: Evaluation
    size_bytes: int
    us_per_word: float
    """Median time of reading one word and scoring all that may follow, microseconds."""
    baseline: Evaluation | None = None
    cached: Cached | None = None

    def as_json(self) -> dict[str, Any]:
        """The model's figures, and what was compared with them."""
        figures: dict[str, Any] = asdict(self.model)
        figures |= {"size_bytes": self.size_bytes, "us_per_word": self.us_per_word}
        if self.baseline is not None:
            figures["baseline"] = asdict(self.baseline)
        if self.cached is not None:
            cached = asdict(self.cached) | {"config": self.cached.config.model_dump()}
            figures["cache"] = cached.pop("config") | cached
        return figures

    def metrics(self) -> dict[str, float]:
        """The figures of the model and of a baseline by flat names, as a bundle keeps them."""
        figures = {MODEL_PREFIX + name: value for name, value in asdict(self.model).items()}
        if self.baseline is not None:
            of_baseline = asdict(self.baseline).items()
            figures |= {BASELINE_PREFIX + name: value for name, value in of_baseline}
        if self.cached is not None:
            figures |= {
                f"{MODEL_PREFIX}perplexity_with_cache": self.cached.perplexity,
                f"{MODEL_PREFIX}top1_with_cache": self.cached.top1,
                f"{MODEL_PREFIX}top3_with_cache": self.cached.top3,
            }
        rounded = {name: round(value, 4) for name, value in figures.items()}
        return rounded | {"size_bytes": self.size_bytes, "us_per_word": round(self.us_per_word, 1)}

    def table(self) -> str:
        """The figures as lines for a terminal."""
        text = self.model.table()
        text += f"\nsize               {self.size_bytes / 1e6:.2f} MB"
        text += f"\ntime a word        {self.us_per_word:.0f} us"
        if self.cached is not None:
            config = self.cached.config
            text += (
                f"\nwith a cache       of {config.size} words, theta {config.theta}, share "
                f"{config.share}, tuned on valid.txt:"
                f"\n                   perplexity {self.cached.perplexity:.2f}, top-1 "
                f"{self.cached.top1:.2%}, top-3 {self.cached.top3:.2%}, keystroke savings "
                f"{self.cached.keystroke_savings:.2%}"
            )
        if self.baseline is not None:
            text += f"\n\n{BASELINE} over the same tokens\n"
            text += self.baseline.table()
        return text


def open_subject(place: Path) -> Subject:
    """A bundle's folder or a run's, ready to score; BundleError or RunError where it is neither."""
    if (place / bundle.MANIFEST_FILE).exists():
        loaded = bundle.load(place)
        return Subject(OnnxScorer(*loaded.graphs()), loaded.tokenizer, loaded.size_bytes())
    run = load_run(place)
    return Subject(TorchScorer(run.model), run.tokenizer, (place / BEST_FILE).stat().st_size)


def check_texts(text_file: Path, wanted: Wanted) -> None:
    """Find out before the work what `compare` would: CorpusError where a text is missing."""
    _read(text_file)
    if wanted.baseline:
        _beside(text_file, "train.txt")
    if wanted.cache_size:
        _beside(text_file, "valid.txt")


def compare(subject: Subject, text_file: Path, wanted: Wanted) -> Comparison:
    """Measure a model on a text; CorpusError where a text is missing or unusable."""
    scorer, tokenizer = subject.scorer, subject.tokenizer
    text = _read(text_file)
    baseline = None
    if wanted.baseline:
        ids = encode_stream(tokenizer, iter_lines(_beside(text_file, "train.txt")))
        baseline = evaluate(KneserNey(ids, len(tokenizer)), tokenizer, text)
    cached = _with_cache(subject, text_file, wanted.cache_size) if wanted.cache_size else None
    return Comparison(
        model=evaluate(scorer, tokenizer, text),
        size_bytes=subject.size_bytes,
        us_per_word=time_a_word_us(scorer, len(tokenizer)),
        baseline=baseline,
        cached=cached,
    )


def _with_cache(subject: Subject, text_file: Path, size: int) -> Cached:
    """The figures with a cache, tuned on the validation text beside the one to be measured."""
    scorer, tokenizer, text = subject.scorer, subject.tokenizer, _read(text_file)
    config = tune_cache(_stream(subject, _read(_beside(text_file, "valid.txt"))), size)
    tally = recall(scorer, tokenizer, text, config)
    return Cached(
        config=config,
        perplexity=cached_perplexity(_stream(subject, text), config),
        top1=tally.recall(1),
        top3=tally.recall(3),
        keystroke_savings=tally.savings(),
    )


def _stream(subject: Subject, text: str) -> Reading:
    ids = np.array(subject.tokenizer.encode(text), np.int64)
    return read_stream(subject.scorer, ids, subject.tokenizer.newline_id)


def stream_perplexity(scorer: Scorer, tokenizer: Tokenizer, text_file: Path) -> float:
    """Perplexity alone, over a file as one stream; CorpusError where it is unusable."""
    ids = np.array(tokenizer.encode(_read(text_file)), np.int64)
    return perplexity(scorer, ids, tokenizer.newline_id)


def time_a_word_us(scorer: Scorer, vocabulary: int) -> float:
    """Microseconds that one word takes alone: read it, score all words that may follow."""
    state, lengths, times_s = scorer.initial_state(1), np.array([1], np.int32), []
    for step in range(_TIMED_STEPS):
        started_s = time.perf_counter()
        hidden_BTD, state = scorer.read(np.array([[step % vocabulary]]), lengths, state)
        scorer.log_probs(hidden_BTD[0])
        times_s.append(time.perf_counter() - started_s)
    return 1e6 * median(times_s)


def _read(text_file: Path) -> str:
    return "\n".join(read_lines(text_file)) + "\n"


def _beside(text_file: Path, name: str) -> Path:
    found = text_file.parent / name
    if not found.exists():
        raise CorpusError(f"there is no {name} beside {text_file}")
    return found
