"""Vocabularies: which tokens get in, in which order, and which ids are refused."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import VocabularyError
from models.text import Mode, Tokenizer
from tests.unit.models.texts import composed, knowing, largest_vocabulary

MODES = get_args(Mode)


def test_the_most_frequent_pieces_get_in() -> None:
    """A vocabulary holds the control tokens and then the commonest pieces, commonest first."""
    tokenizer = Tokenizer.train(["b b b a a c", "c a b d"], 5, "natural")

    assert tokenizer.tokens == ("<unk>", "\n", " b", " a", " c")
    assert len(tokenizer) == 5


@pytest.mark.parametrize("mode", MODES)
def test_ties_go_to_the_piece_that_sorts_first(mode: Mode) -> None:
    """Among pieces of equal number the order of the lines does not matter."""
    lines = ["d c", "b a", "é Z"]

    orders = [Tokenizer.train(order, 6, mode).tokens for order in (lines, lines[::-1])]

    assert orders[0] == orders[1]
    assert [token.strip() for token in orders[0][2:]] == ["Z", "a", "b", "c"]


@given(st.lists(composed, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_same_lines_give_the_same_ids(lines: list[str], chance: random.Random) -> None:
    """Whatever the order of the lines, the ids are the same."""
    lines = [line for text in lines for line in text.split("\n")] + ["x"]
    shuffled = chance.sample(lines, len(lines))
    size = largest_vocabulary(lines, "natural")

    trained = [Tokenizer.train(order, size, "natural").tokens for order in (lines, shuffled)]

    assert trained[0] == trained[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [-1, 0, 2, 6, 10_000])
def test_a_vocabulary_that_cannot_be_filled_is_refused(size: int, mode: Mode) -> None:
    """Too few or too many tokens for the text are refused, with what it can fill."""
    with pytest.raises(VocabularyError) as refused:
        Tokenizer.train(["c b a", "a"], size, mode)

    expected = f"a vocabulary of {size} tokens was asked for; this corpus can fill one of 3 to 5"
    assert expected == str(refused.value)


@pytest.mark.parametrize("mode", MODES)
def test_the_smallest_and_the_largest_vocabulary(mode: Mode) -> None:
    """One token besides the control tokens is enough, and all pieces of the text are too."""
    assert len(Tokenizer.train(["c b a", "a"], 3, mode)) == 3
    assert len(Tokenizer.train(["c b a", "a"], 5, mode)) == 5


@pytest.mark.parametrize("tokens", [["a", "a"], ["<unk>"], ["a", "\n"]])
def test_a_token_that_stands_twice_is_refused(tokens: list[str]) -> None:
    """A vocabulary with a token twice, a control token least of all, is refused."""
    with pytest.raises(VocabularyError, match="twice"):
        Tokenizer.from_tokens(tokens, "natural")


@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_an_id_outside_the_vocabulary_is_refused(bad: int) -> None:
    """A negative id, or one that is not below the size, is refused with the ids there are."""
    tokenizer = Tokenizer.from_tokens(["a", "b"], "natural")

    for use in (tokenizer.check_ids, tokenizer.decode):
        with pytest.raises(VocabularyError) as refused:
            use([0, bad, 3])
        assert f"token id {bad} is outside the vocabulary, 0 to 3" == str(refused.value)


def test_every_id_of_the_vocabulary_is_allowed() -> None:
    """The first and the last id, and none at all, pass."""
    tokenizer = Tokenizer.from_tokens([" a", "b"], "natural")

    tokenizer.check_ids([])
    tokenizer.check_ids(range(4))
    assert tokenizer.decode([2, 3, 1, 0]) == "ab\n<unk>"
    assert tokenizer.decode([]) == ""


def test_the_control_tokens_come_first() -> None:
    """The unknown token and the line break have the same ids in every vocabulary."""
    tokenizer = knowing("a")

    assert tokenizer.tokens[:2] == ("<unk>", "\n")
    assert (tokenizer.unknown_id, tokenizer.newline_id) == (0, 1)
