"""Recall and keystroke savings by hand, on texts short enough to count."""

from __future__ import annotations

import numpy as np
import pytest

from models.cache import CacheConfig
from models.text import Tokenizer
from tests.unit.training.support import TableScorer
from training.evaluate import Evaluation, evaluate, recall

TOKENS = [" the", " then", " there", " theme", " cat", " Then", ".", "cat", " ("]


def figures(text: str, *liked: str) -> Evaluation:
    """What a model comes to that always likes these tokens best, in this order."""
    tokenizer = Tokenizer.from_tokens(TOKENS, "natural")
    likings = np.full(len(tokenizer), -9.0, np.float32)
    for rank, token in enumerate(liked):
        likings[tokenizer.tokens.index(token)] = -rank - 1.0
    return evaluate(TableScorer(np.tile(likings, (len(tokenizer), 1))), tokenizer, text)


def test_a_first_suggestion_costs_one_key() -> None:
    """A word that is shown before any letter is one key instead of its letters and a space."""
    assert 1 - 1 / 4 == figures("the", " the").keystroke_savings


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("the", 1),
        ("then", 1),
        ("there", 1),
        ("theme", 5),  # t, h, e leave four; behind "them" only it is left
        ("cat", 2),
    ],
)
def test_letters_are_typed_until_the_word_is_shown(word: str, keys: int) -> None:
    """Each letter narrows the three suggestions, and taking one is a key more."""
    liked = (" the", " then", " there", " theme", " cat")

    savings = figures(word, *liked).keystroke_savings

    assert 1 - keys / (len(word) + 1) == pytest.approx(savings)


@pytest.mark.parametrize(
    ("liked", "recalls"),
    [
        ((" cat",), (1, 1, 1)),
        ((" the", " cat"), (0, 1, 1)),
        ((" the", " then", " there", " cat"), (0, 0, 1)),
        ((" the", " then", " there", " theme", " cat"), (0, 0, 1)),
    ],
)
def test_recall_counts_the_words_offered_before(liked, recalls) -> None:
    """A word is recalled at k where fewer than k words come before it."""
    found = figures("cat", *liked)

    assert recalls == (found.top1, found.top3, found.top5)


def test_marks_and_other_spellings_take_no_place() -> None:
    """Suggestions that are no words, or repeat one in another case, are skipped."""
    assert figures("cat", ".", "\n", "<unk>", " cat").top1 == 1
    assert figures("cat", " then", " Then", " the", " cat").top3 == 1
    assert figures("THEN", " Then").top1 == 1


def test_a_glued_word_is_offered_only_where_no_space_stands() -> None:
    """Behind a space the twin without one takes no place; behind a bracket it does."""
    assert figures("(cat", "cat").top1 == 1
    assert figures("the cat", "cat", " the").top1 == 0.5
    assert figures("the cat", "cat", " cat", " the").top1 == 0.5


def test_a_tie_goes_to_the_lower_id_of_those_that_tie() -> None:
    """A word's unlikely other spelling does not lend it its lower token id."""
    tokenizer = Tokenizer.from_tokens([" The", " cat", " the"], "natural")
    likings = np.array([-9, -9, -5, -1, -1], np.float32)
    scorer = TableScorer(np.tile(likings, (5, 1)))

    assert evaluate(scorer, tokenizer, "cat").top1 == 1
    assert evaluate(scorer, tokenizer, "the").top1 == 0


def test_capitals_count_of_the_words_offered_first() -> None:
    """Of two recalled words one has the capitals it was offered with."""
    found = figures("Then then cat", " Then", " cat")
    assert (2 / 3, 0.5) == (found.top1, found.exact_case)


@pytest.mark.parametrize(
    ("liked", "expected"),
    [((".",), 1), ((" cat", " Then", " then", "."), 1), ((" cat", " the", " then", "."), 0)],
)
def test_a_mark_is_offered_where_fewer_than_three_suggestions_are_better(liked, expected) -> None:
    """Words and marks compete; " Then" is the same word as " then"."""
    found = figures("there.", *liked)
    assert (1, expected) == (found.marks, found.marks_top3)


@pytest.mark.parametrize(
    ("text", "hits", "exact"),
    [
        ("zebra cat zebra", (1, 2), 1),
        ("Zebra cat zebra", (1, 2), 1),
        ("cat cat", (2, 2), 2),
        ("cat\n\nzebra\n\nzebra", (1, 1), 1),
    ],
)
def test_with_a_cache_words_of_the_dialogue_come_again(text, hits, exact) -> None:
    """Unknown ones by their spelling, behind a likelier one; not those of another dialogue."""
    tokenizer = Tokenizer.from_tokens(TOKENS, "natural")
    likings = np.full(len(tokenizer), -9.0, np.float32)
    likings[tokenizer.tokens.index(" cat")] = -0.1
    scorer = TableScorer(np.tile(likings, (len(tokenizer), 1)))
    cache = CacheConfig(size=5, theta=0.1, share=0.3)

    tally = recall(scorer, tokenizer, text, cache)

    assert hits == (tally.hits[0], tally.hits[2])
    assert exact == tally.exact


def test_a_cached_word_is_completed_from_its_letters() -> None:
    """Four likelier words begin with z, of which two are cached ones; "ze" leaves "zebra" alone."""
    tokenizer = Tokenizer.from_tokens([" zoo", " zip"], "natural")
    scorer = TableScorer(np.log(np.full((4, 4), 0.25, np.float32)))
    cache = CacheConfig(size=9, theta=0.1, share=0.55)

    tally = recall(scorer, tokenizer, "zulu zulu zulu zima zima zebra zebra", cache)

    assert 5 + 1 + 1 + 5 + 1 + 6 + 3 == tally.keys


def test_an_unknown_word_is_a_miss_and_typed_out() -> None:
    """A word that the vocabulary lacks is counted, never recalled, and costs all its keys."""
    found = figures("zebra cat", " cat")

    assert (2, 0.5, 0.5) == (found.words, found.top1, found.top5)
    assert 1 - (6 + 1) / (6 + 4) == pytest.approx(found.keystroke_savings)
    assert pytest.approx(0.5) == found.unknown_rate


@pytest.mark.parametrize("text", ["...\n", "привет мир\n"])
def test_without_words_nothing_is_recalled_or_saved(text: str) -> None:
    """A text that holds no word of the metric has recalls and savings of zero."""
    found = figures(text, " cat")

    assert (0, 0, 0) == (found.words, found.top1, found.top5)
    assert found.keystroke_savings == 0


def test_the_table_shows_every_figure() -> None:
    """The lines for the terminal hold what was measured, as percentages."""
    figures = (1234, 12.345, 45.678, 1000, 0.1, 0.25, 0.5, 0.333, 0.01, 0.9, 200, 0.7)
    table = Evaluation(*figures).table()

    assert [
        "perplexity         12.35 over 1,234 tokens",
        "  a word           45.68 (by white space)",
        "top-1              10.00% of 1,000 words",
        "top-3              25.00%",
        "top-5              50.00%",
        "keystroke savings  33.30%",
        "unknown tokens     1.00%",
        "exact capitals     90.00% of the words recalled first",
        "punctuation top-3  70.00% of 200 marks",
    ] == table.splitlines()
