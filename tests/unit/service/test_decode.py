"""Which words are suggested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import Tokenizer
from service.engine.decode import Ask, Decoder, Query

TOKENS = [" the", " The", " then", " cat", "cat", ".", " (", " ", " it's", "42", " 😀", " i"]
TOKENIZER = Tokenizer.from_tokens(TOKENS, "natural")


def suggest(query: Query, scores: list[float], head_k: int | None = None) -> list[str]:
    """The suggested words where token `i` (control tokens first) has the given score."""
    log_probs = np.array(scores, np.float32)
    order = np.lexsort((np.arange(len(scores)), -log_probs))
    top = order[: query.head_k if head_k is None else head_k]
    return [p.word for p in Decoder(TOKENIZER.words).suggest(query, log_probs, top)]


def falling(*first: str) -> list[float]:
    """Scores by which the named tokens come first, in that order, then all others."""
    names = [*first, *(t for t in TOKENIZER.tokens if t not in first)]
    return [-float(names.index(token)) for token in TOKENIZER.tokens]


def test_control_tokens_punctuation_and_spaces_are_never_suggested() -> None:
    """However likely they are."""
    scores = falling("<unk>", "\n", ".", " (", " ", " cat", " the")
    assert ["cat", "the"] == suggest(Query(Ask(2)), scores)


def test_marks_are_suggested_to_those_who_ask_for_them() -> None:
    """Where they are likelier than the words, each once; never control tokens or blanks."""
    scores = falling("<unk>", "\n", ".", " ", " cat", " (")
    asked = Ask(3, punctuation=True)
    assert [".", "cat", "("] == suggest(Query(asked), scores)
    assert [".", "cat", "("] == suggest(Query(asked), scores, head_k=3)
    assert ["cat"] == suggest(Query(asked, "c"), scores)


def test_the_full_row_is_searched_when_the_head_offers_too_few_words() -> None:
    """Where the head's best tokens are all punctuation, the words behind them are found."""
    scores = falling("<unk>", "\n", ".", " (", " cat", " the")
    assert ["cat", "the", "The"] == suggest(Query(Ask(3)), scores, head_k=4)


def test_ties_go_to_the_lower_token_id() -> None:
    """In the short way and in the long way alike."""
    scores = [0.0] * len(TOKENIZER)
    assert ["the", "The", "then"] == suggest(Query(Ask(3)), scores)
    assert ["the", "The", "then"] == suggest(Query(Ask(3), prefix="t"), scores)


def test_a_prefix_matches_any_case_and_every_suggestion_starts_with_it() -> None:
    """`TH` finds "the" and "The"."""
    assert ["then", "The", "the"] == suggest(Query(Ask(9), "TH"), falling(" then", " The"))


def test_glued_twins_are_left_out_behind_a_space_and_merged_elsewhere() -> None:
    """ "cat" is in the vocabulary with and without its space and is offered once."""
    scores = falling("cat", " cat", "42")
    assert ["cat", "the"] == suggest(Query(Ask(2), spaced=True), scores)
    assert ["cat", "42"] == suggest(Query(Ask(2), spaced=False), scores)


def test_fewer_words_than_asked_for_are_no_error() -> None:
    """A vocabulary of seven spaced words gives seven suggestions."""
    words = suggest(Query(Ask(100)), falling())
    assert ["the", "The", "then", "cat", "it's", "😀", "i"] == words


def test_an_unknown_prefix_gives_nothing() -> None:
    """No word starts with zz."""
    assert [] == suggest(Query(Ask(5), "zz"), falling())


def test_logprob_is_the_models_own() -> None:
    """It is not renormalised over what is left after filtering."""
    scores = np.log(np.full(len(TOKENIZER), 1 / len(TOKENIZER), np.float32))
    [first] = Decoder(TOKENIZER.words).suggest(Query(Ask(1), "ca"), scores, np.array([0]))
    assert pytest.approx(1 / len(TOKENIZER)) == first.prob
    assert float(scores[first.token_id]) == first.logprob


@given(
    st.lists(st.integers(-5, 0), min_size=len(TOKENIZER), max_size=len(TOKENIZER)),
    st.integers(1, 12),
    st.booleans(),
)
def test_the_short_way_and_the_long_way_agree(
    scores: list[int],
    k: int,
    spaced: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Suggestions do not depend on how many tokens the head was asked for."""
    query = Query(Ask(k), spaced=spaced)
    floats = [float(score) for score in scores]
    assert suggest(query, floats, head_k=1) == suggest(query, floats, head_k=len(TOKENIZER))
