"""Pre-tokenised text: words between white space, of which only line breaks are kept."""

from __future__ import annotations

from hypothesis import given

from models.text import Tokenizer
from tests.unit.models.texts import canonical_texts, knowing


@given(canonical_texts)
def test_canonical_text_comes_back_exactly(text: str) -> None:
    """Words with single spaces and lines with breaks come back as they were, `<unk>` included."""
    tokenizer = knowing(text, "pretokenised")

    assert text == tokenizer.decode(tokenizer.encode(text))


@given(canonical_texts)
def test_only_words_and_line_breaks_are_tokens(text: str) -> None:
    """Each word is a token whatever it is made of, and each line break is one."""
    tokenizer = knowing(text, "pretokenised")
    words = [word for line in text.split("\n") for word in [*line.split(), "\n"]][:-1]

    assert words == [tokenizer.tokens[i] for i in tokenizer.encode(text)]


def test_the_written_unknown_word_is_the_unknown_token() -> None:
    """`<unk>` in the text, as WikiText has it, is the control token and never counted as a word."""
    tokenizer = Tokenizer.train(["<unk> the <unk> a the"], 4, "pretokenised")

    assert tokenizer.tokens == ("<unk>", "\n", "the", "a")
    assert tokenizer.encode("<unk> the <unk> a the") == [0, 2, 0, 3, 2]


def test_other_white_space_becomes_one_space() -> None:
    """Tabs, runs of blanks and blanks around a line's words are not kept."""
    tokenizer = knowing("a b", "pretokenised")

    assert tokenizer.decode(tokenizer.encode("  a \t\u00a0 b \n a ")) == "a b\na"


def test_blank_lines_are_kept() -> None:
    """Every line break stays, the last one too."""
    tokenizer = knowing("a", "pretokenised")

    assert tokenizer.decode(tokenizer.encode("\n\na\n \n\na\n")) == "\n\na\n\n\na\n"


def test_marks_stay_in_their_words() -> None:
    """Nothing but white space parts words: WikiText's ` @-@ ` and `=` are words of their own."""
    text = "= Title =\nself @-@ taught , don 't 's"
    tokenizer = knowing(text, "pretokenised")

    assert text == tokenizer.decode(tokenizer.encode(text))
    assert {"=", "@-@", ",", "'t", "'s"} < set(tokenizer.tokens)
