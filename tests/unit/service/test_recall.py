"""What a cache recalls at a place, held to the definition of Grave 2016."""

from __future__ import annotations

import numpy as np
import pytest

from models.cache import CacheConfig, Odds, Recall
from models.text import Tokenizer
from service.engine.decode import Ask, Decoder, Query
from service.engine.trail import SLACK, Trail

CONFIG = CacheConfig(size=3, theta=0.5, share=0.2)
TOKENIZER = Tokenizer.from_tokens([" the", " cat", " dog", "."], "natural")
THE, CAT, DOG = 2, 3, 4
FLAT_V = np.log(np.full(6, 1 / 6, np.float32))
HERE_D = np.array([1, 0], np.float32)


def trail(*hidden: tuple[float, float]) -> Trail:
    """A trail over places of two features."""
    return Trail(np.array(hidden, np.float16).reshape(-1, 2), CONFIG.size + SLACK)


def recall(*words: int | str) -> Recall:
    """Token ids, and spelled words outside the vocabulary."""
    return Recall(
        CONFIG,
        tuple(0 if isinstance(word, str) else word for word in words),
        tuple(word if isinstance(word, str) else None for word in words),
    )


def odds(words: Recall, places: Trail) -> Odds:
    """The odds at the place of the tests, where there are some."""
    found = words.odds(places.hidden_MD, HERE_D)
    assert found is not None
    return found


def test_words_behind_alike_places_share_the_odds() -> None:
    """exp(theta h . h_i), summed over the places a word followed, over the sum of all."""
    found = odds(recall(CAT, "Zorro", CAT), trail((2, 0), (0, 5), (4, 1)))
    weights = np.exp(0.5 * np.array([2, 0, 4]))
    assert [CAT] == found.ids_N.tolist()
    assert pytest.approx((weights[0] + weights[2]) / weights.sum()) == found.odds_N[0]
    assert pytest.approx(weights[1] / weights.sum()) == found.spelled["Zorro"]


def test_only_the_latest_places_count() -> None:
    """A trail is longer than its cache, so that words can be taken back."""
    long = trail((9, 9), (9, 9), (2, 0), (0, 5), (4, 1))
    short = trail((2, 0), (0, 5), (4, 1))
    words = recall(CAT, DOG, CAT)
    assert odds(words, short).odds_N.tolist() == odds(words, long).odds_N.tolist()


def test_a_cache_without_words_says_nothing() -> None:
    """At the beginning the model is alone."""
    assert recall().odds(trail().hidden_MD, HERE_D) is None


def test_the_mixture_is_a_probability() -> None:
    """Model and cache, spelled words included, come to one."""
    found = odds(recall(CAT, "Zorro", DOG), trail((2, 0), (0, 5), (4, 1)))
    total = np.exp(found.mix(FLAT_V).astype(np.float64)).sum() + np.exp(found.log_odds("Zorro"))
    assert pytest.approx(1, abs=1e-6) == total


def test_a_word_that_was_there_comes_before_those_that_were_not() -> None:
    """Also where the head's best tokens do not hold it."""
    found = odds(recall(DOG), trail((2, 0)))
    words = Decoder(TOKENIZER.words).suggest(Query(Ask(3)), FLAT_V, np.array([THE]), found)
    assert ["dog", "the", "cat"] == [word.word for word in words]
    assert pytest.approx(0.8 / 6 + 0.2) == words[0].prob


def test_a_word_outside_the_vocabulary_comes_back_as_it_was_spelled() -> None:
    """It has the id of the unknown word, and nobody else's probability."""
    found = odds(recall("Zorro", CAT), trail((2, 0), (2, 0)))
    everything = np.arange(6)
    words = Decoder(TOKENIZER.words).suggest(Query(Ask(4)), FLAT_V, everything, found)
    assert ["cat", "the", "dog", "Zorro"] == [word.word for word in words]
    assert TOKENIZER.unknown_id == words[-1].token_id
    assert pytest.approx(0.1) == words[-1].prob


@pytest.mark.parametrize(("prefix", "words"), [("zo", ["Zorro"]), ("c", ["cat"]), ("x", [])])
def test_a_prefix_holds_for_words_outside_the_vocabulary_too(prefix: str, words: list[str]) -> None:
    """Whatever the case."""
    found = odds(recall("Zorro", CAT), trail((2, 0), (2, 0)))
    query = Query(Ask(3), prefix)
    got = Decoder(TOKENIZER.words).suggest(query, FLAT_V, np.array([THE]), found)
    assert words == [word.word for word in got]


def test_a_trail_forgets_its_oldest_places() -> None:
    """At most so many are kept, however much is read at once or bit by bit."""
    after_TD = np.arange(2 * (SLACK + 10), dtype=np.float32).reshape(-1, 2)
    at_once = trail().then(HERE_D, after_TD)
    bit_by_bit = trail().then(HERE_D, after_TD[:7]).then(after_TD[6], after_TD[7:])
    assert CONFIG.size + SLACK == len(at_once)
    assert at_once.hidden_MD.tolist() == bit_by_bit.hidden_MD.tolist()
    assert after_TD[-2].tolist() == at_once.hidden_MD[-1].tolist()


def test_a_word_too_unlikely_for_a_number_is_not_offered() -> None:
    """Its log-probability would be minus infinity, which JSON does not know."""
    sharp = CacheConfig(size=3, theta=100, share=0.2)
    words = Recall(sharp, (0, CAT), ("Zorro", None))
    found = odds(words, trail((0, 0), (9, 0)))
    assert {} == found.spelled
    assert [CAT] == found.ids_N.tolist()


def test_a_cache_that_counts_for_nothing_says_nothing() -> None:
    """A share of 0 leaves the model alone."""
    nothing = CacheConfig(size=3, theta=1, share=0)
    assert Recall(nothing, (0,), ("Zorro",)).odds(trail((1, 0)).hidden_MD, HERE_D) is None
