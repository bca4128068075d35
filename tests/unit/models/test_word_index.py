"""Which tokens are words to suggest, and which of them begin with a prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import Tokenizer
from models.words import WordIndex

CONTROL = ["<unk>", "\n"]
WORDS = [" the", " The", " then", "the", " there", " I", " été", " 42nd", " 👍", "s", " ."]
INDEX = WordIndex([*CONTROL, *WORDS, " ", "\t", "'", " (", "\u3000", "🏽", " zz", " don't"])


def spelled(prefix: str, *, spaced: bool) -> list[str]:
    """The words that the index finds, shown, in its own order."""
    return [INDEX.shown[i] for i in INDEX.starting_with(prefix, spaced=spaced)]


@pytest.mark.parametrize("prefix", ["the", "THE", "The", "tHe"])
def test_a_prefix_is_found_in_any_case(prefix: str) -> None:
    """Capitals make no difference, neither in the prefix nor in the word."""
    assert sorted(spelled(prefix, spaced=True)) == ["The", "the", "then", "there"]


def test_accents_make_a_difference() -> None:
    """A letter with an accent is another letter, in either case."""
    assert spelled("ÉT", spaced=True) == ["été"]
    assert spelled("et", spaced=True) == []


@pytest.mark.parametrize("spaced", [True, False])
def test_only_words_are_suggested(spaced) -> None:
    """Neither control tokens nor punctuation, white space or bare modifiers are suggested."""
    shown = set(spelled("", spaced=spaced))

    assert {"the", "The", "then", "there", "I", "été", "42nd", "👍", "zz", "don't"} == shown - {"s"}


@pytest.mark.parametrize("prefix", ["<", "<unk>", "\n", " ", "'", ".", "("])
def test_no_prefix_leads_to_a_control_token_or_a_mark(prefix: str) -> None:
    """Asking for one by name finds nothing."""
    assert spelled(prefix, spaced=False) == []


def test_glued_words_are_left_out_behind_a_space() -> None:
    """Where a space is known to stand, only words that stand behind one are found."""
    glued = len(CONTROL) + WORDS.index("the")

    assert glued not in INDEX.starting_with("the", spaced=True)
    assert glued in INDEX.starting_with("the", spaced=False)
    assert spelled("s", spaced=True) == []
    assert spelled("s", spaced=False) == ["s"]


def test_in_pretokenised_vocabularies_every_word_stands_behind_a_space() -> None:
    """Without a single token that holds a space, none is glued."""
    words = Tokenizer.from_tokens(["the", "cat", ",", "@-@"], "pretokenised").words

    assert list(words.starting_with("", spaced=True)) == [3, 2]
    assert list(words.starting_with("", spaced=False)) == [3, 2]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("z", ["zz"]),
        ("zz", ["zz"]),
        ("zzz", []),
        ("👍", ["👍"]),
        ("\U0010ffff", []),
        ("4", ["42nd"]),
    ],
)
def test_prefixes_at_the_ends_of_the_alphabet(prefix: str, found: list[str]) -> None:
    """The first and the last words of the index are found like any other."""
    assert found == spelled(prefix, spaced=True)


def test_the_last_code_point_is_a_letter_like_any_other() -> None:
    """A word that goes on with the highest code point still begins with its prefix."""
    words = Tokenizer.from_tokens(["a\U0010ffffb"], "pretokenised").words

    assert list(words.starting_with("a", spaced=True)) == [2]


def test_a_greek_word_is_found_by_capitals_that_could_end_a_word() -> None:
    """A capital sigma is the same letter at a prefix's end and inside the word."""
    words = Tokenizer.from_tokens([" ΟΣΟ", " όσο"], "natural").words

    assert list(words.starting_with("ΟΣ", spaced=True)) == [2]


def test_a_vocabulary_without_words_suggests_nothing() -> None:
    """Control tokens and marks alone give an empty index."""
    assert list(WordIndex([*CONTROL, ".", " "]).starting_with("", spaced=False)) == []


short = st.text("abABéÉzZ1'. ", max_size=4)


@given(st.lists(short, unique=True, max_size=8), short)
def test_a_prefix_finds_what_a_walk_through_the_words_finds(tokens: list[str], prefix: str) -> None:
    """The sorted index finds just those of its words that begin with the prefix."""
    index = WordIndex([*CONTROL, *tokens])
    everything = index.starting_with("", spaced=False)
    walk = {i for i in everything if index.shown[i].lower().startswith(prefix.lower())}

    assert walk == set(index.starting_with(prefix, spaced=False))


def test_the_index_cannot_be_changed_from_outside() -> None:
    """What is handed out is read-only."""
    with pytest.raises(ValueError, match="read-only"):
        INDEX.starting_with("", spaced=False)[0] = 0
