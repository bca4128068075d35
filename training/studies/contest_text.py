"""A corpus as far as a contest of cells uses it: cut to a few tokens, with what kind of text it is.

Must not know: nets, rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.pipelines import Mode, pipeline
from models.words import CONTROL_TOKENS, UNKNOWN
from training.corpus import Ids, encode_stream, load_corpus
from training.texts import find_texts, read_lines


@dataclass(frozen=True)
class Text:
    """Token ids to train on and to be examined on."""

    mode: Mode
    vocabulary: int
    train: Ids
    valid: Ids
    test: Ids | None
    unknown: float
    """Share of the held-out tokens that are not in the vocabulary, or are `<unk>` in the text."""


def read_text(place: Path, vocabulary: int, tokens: int, held_out: int) -> Text:
    """Read a corpus and its `test.txt` if it has one; CorpusError where it is unusable.

    The vocabulary has at most so many tokens, and is made from the whole training text. Of that
    text and of the held-out ones so many tokens are kept, from the start.
    """
    texts = find_texts(place)
    mode = _mode(texts.train())
    corpus = load_corpus(place, mode, _vocabulary_size(texts.train(), mode, vocabulary))
    test_file = place / "test.txt"
    test = encode_stream(corpus.tokenizer, read_lines(test_file)) if test_file.exists() else None
    examined = (corpus.valid if test is None else test)[:held_out]
    return Text(
        mode=mode,
        vocabulary=len(corpus.tokenizer),
        train=corpus.train[:tokens],
        valid=corpus.valid[:held_out],
        test=None if test is None else examined,
        unknown=float((examined == corpus.tokenizer.unknown_id).mean()),
    )


def _mode(lines: Iterable[str]) -> Mode:
    """WikiText and its like say `<unk>` for rare words; natural text does not."""
    return "pretokenised" if any(UNKNOWN in line.split() for line in lines) else "natural"


def _vocabulary_size(lines: Iterable[str], mode: Mode, at_most: int) -> int:
    """How many tokens a text can fill, control tokens included, counted up to a limit."""
    normalizer, pre_tokenizer, _ = pipeline(mode)
    pieces = set(CONTROL_TOKENS)
    for line in lines:
        marked = normalizer.normalize_str(line)
        pieces.update(piece for piece, _ in pre_tokenizer.pre_tokenize_str(marked))
        if len(pieces) >= at_most:
            return at_most
    return len(pieces)
