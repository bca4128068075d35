"""Scanning: the tokens of a text with their ends, and of an edited text from the edit on."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.text import Mode, Tokenizer
from tests.unit.models.texts import knowing, natural_texts

modes = st.sampled_from(get_args(Mode))


@given(natural_texts, modes)
@example("  a\n b\n\n", "natural")
def test_a_scan_reads_what_encoding_reads(text: str, mode: Mode) -> None:
    """The ids of a scan are those of encoding the text."""
    tokenizer = knowing(text, mode)

    assert tokenizer.encode(text) == tokenizer.scan(text).ids


@given(natural_texts)
def test_the_ends_tile_the_text(text: str) -> None:
    """Between one end and the next stands the token itself, but for a line's unwritten space."""
    tokenizer = knowing(text)
    ids, ends = tokenizer.scan(text)

    for token_id, start, end in zip(ids, [0, *ends], ends, strict=False):
        written, token = text[start:end], tokenizer.tokens[token_id]
        at_line_start = start == 0 or text[start - 1] == "\n"
        assert token == written or (at_line_start and token == f" {written}")
    assert [*ends[-1:], 0][0] == len(text)


@settings(max_examples=300)
@given(natural_texts, natural_texts, natural_texts, natural_texts, modes)
@example("don'", "", "t", "", "natural")
@example("a\n b", "x", "y", "", "natural")
@example("don", " ", "'t", "", "natural")
@example(" ", "x", "", "", "natural")
@example("a\n", " ", "b", "c", "natural")
@example("ab", "", " cd", "e", "pretokenised")
def test_an_edited_text_is_read_from_the_edit_on(
    before: str, cut: str, put: str, after: str, mode: Mode
) -> None:
    """The tokens kept from before an edit and a scan of the rest are the tokens of the whole."""
    old, new = before + cut + after, before + put + after
    tokenizer = knowing(f"{old}\n{new}", mode)
    was = tokenizer.scan(old)

    count = tokenizer.kept(was.ends, old, new)
    start = was.ends[count - 1] if count else 0
    rest = tokenizer.scan(new, start)

    assert tokenizer.encode(new) == was.ids[:count] + rest.ids
    assert tokenizer.scan(new).ends == was.ends[:count] + rest.ends


@given(natural_texts, modes)
def test_an_unchanged_text_is_kept_whole(text: str, mode: Mode) -> None:
    """Nothing is read again where nothing changed."""
    tokenizer = knowing(text, mode)
    ends = tokenizer.scan(text).ends

    assert len(ends) == tokenizer.kept(ends, text, text)


def test_typing_on_keeps_all_but_the_last_words() -> None:
    """A letter typed at the end of a long text has only the end read again."""
    tokenizer = knowing("word one two three")
    old = "word one two three " * 50
    ends = tokenizer.scan(old).ends

    assert len(ends) - 2 <= tokenizer.kept(ends, old, f"{old}f")


def test_a_change_at_the_start_keeps_nothing() -> None:
    """Where the first letter differs no token can be kept."""
    tokenizer = knowing("a b c x")
    ends = tokenizer.scan("a b c").ends

    assert tokenizer.kept(ends, "a b c", "x b c") == 0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ab\0c", "a NUL character at character 2"),
        ("abc\ud83d", "a lone surrogate (invalid UTF-16) at character 3"),
        ("\udc00", "a lone surrogate (invalid UTF-16) at character 0"),
    ],
)
def test_unreadable_text_is_refused(text: str, what: str) -> None:
    """A NUL or half a surrogate pair is refused, the place named, by whatever reads the text."""
    from models.errors import TextError

    tokenizer = Tokenizer.from_tokens([" a"], "natural")

    for read in (tokenizer.encode, tokenizer.scan):
        with pytest.raises(TextError) as refused:
            read(text)
        assert f"the text holds {what}" == str(refused.value)
