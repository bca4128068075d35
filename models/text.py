"""The tokenizer: text <-> token ids, without loss where every token is known.

Knows: Hugging Face `tokenizers`, and the two kinds of text (natural, pre-tokenised).
Must not know: graphs, sessions, HTTP.

Natural text is cut into *pieces* that tile it: a word with the one space before it, a
punctuation mark with the one space before it, a line break, any other white space. The first
piece of a line gets a space too (taken away again when decoding), so that "How" is one token
wherever it stands. Pre-tokenised text (WikiText-2) is cut at white space, of which only line
breaks are kept. In both kinds a line break is a token of its own: end of message.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import tokenizers

from models.errors import TextError, TokenizerError, VocabularyError
from models.pipelines import Mode, assemble, mode_of, pipeline
from models.words import CONTROL_TOKENS, NEWLINE, UNKNOWN, WordIndex, is_word

_SEGMENT = re.compile(r"\n|[^\n]+")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_BLANKS = " \t"
_APOSTROPHES = "'’"
_CLOSING = re.compile(r"[.,;:!?)\]}…%]|['’](?:s|t|d|m|ll|re|ve)\b(?!['’])", re.IGNORECASE)
_LOOKAHEAD = 2
"""How far behind its end a piece looks before it stops growing ("don" + "'" + "t")."""


class Scan(NamedTuple):
    """The tokens of a stretch of text: their ids, and where in the text each one ends."""

    ids: list[int]
    ends: list[int]


class Cut(NamedTuple):
    """A text box cut into finished words and the partial word being typed.

    `spaced` tells that the next word is known to stand behind white space or at a line's start.
    """

    finished: str
    pending: str
    spaced: bool


class Tokenizer:
    """Text to token ids and back; one object a vocabulary, immutable."""

    def __init__(self, hf: tokenizers.Tokenizer) -> None:
        """Wrap a Hugging Face tokenizer; TokenizerError where it is not one of ours."""
        self._hf = hf
        self._vocab: dict[str, int] = hf.get_vocab()
        self.tokens: tuple[str, ...] = _tokens_by_id(self._vocab)
        self.mode: Mode = mode_of(hf)
        self.unknown_id = CONTROL_TOKENS.index(UNKNOWN)
        self.newline_id = CONTROL_TOKENS.index(NEWLINE)

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], mode: Mode) -> Tokenizer:
        """Build a tokenizer whose ids are `CONTROL_TOKENS` followed by `tokens` in order."""
        vocab = {token: i for i, token in enumerate((*CONTROL_TOKENS, *tokens))}
        if len(vocab) != len(tokens) + len(CONTROL_TOKENS):
            raise VocabularyError("a token stands twice in the vocabulary")
        return cls(assemble(vocab, mode))

    @classmethod
    def train(cls, lines: Iterable[str], size: int, mode: Mode) -> Tokenizer:
        """Build a tokenizer of the `size` most frequent pieces of `lines` (no line breaks).

        Ties go to the piece that sorts first, so that the same text gives the same ids.
        Raises VocabularyError where the text has fewer pieces than asked for.
        """
        normalizer, pre_tokenizer, _ = pipeline(mode)
        counts: Counter[str] = Counter()
        for line in lines:
            marked = normalizer.normalize_str(line)
            counts.update(piece for piece, _ in pre_tokenizer.pre_tokenize_str(marked))
        for control in CONTROL_TOKENS:
            counts.pop(control, None)
        wanted, have = size - len(CONTROL_TOKENS), len(counts)
        if not 1 <= wanted <= have:
            raise VocabularyError(
                f"a vocabulary of {size} tokens was asked for; this corpus can fill one of "
                f"{len(CONTROL_TOKENS) + 1} to {have + len(CONTROL_TOKENS)}"
            )
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls.from_tokens([piece for piece, _ in ranked[:wanted]], mode)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read a `tokenizer.json`; TokenizerError where it is broken or not one of ours."""
        try:
            hf = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the Rust side raises bare Exception
            raise TokenizerError(f"not a tokenizers file: {error}") from error
        return cls(hf)

    def to_json(self) -> str:
        """The Hugging Face `tokenizers` file, readable by that library alone."""
        return self._hf.to_str(pretty=False)

    def __len__(self) -> int:
        """The size of the vocabulary, control tokens included."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The token ids of a whole text; unknown pieces become `unknown_id`."""
        check_text(text)
        return list(self._hf.encode(text, add_special_tokens=False).ids)

    def encode_lines(self, lines: Sequence[str]) -> Iterator[list[int]]:
        """The token ids of many lines (no line breaks inside), a list a line, in parallel."""
        for encoding in self._hf.encode_batch_fast(lines, add_special_tokens=False):
            yield encoding.ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; exact where none is unknown. VocabularyError on a bad id."""
        self.check_ids(ids)
        return self._hf.decode(ids, skip_special_tokens=False)

    def check_ids(self, ids: Iterable[int]) -> None:
        """Raise VocabularyError where an id is negative or not below the vocabulary's size."""
        for token_id in ids:
            if not 0 <= token_id < len(self.tokens):
                raise VocabularyError(
                    f"token id {token_id} is outside the vocabulary, 0 to {len(self.tokens) - 1}"
                )

    def scan(self, text: str, start: int = 0) -> Scan:
        """The tokens of `text[start:]`, where `start` is 0 or the end of a token that is kept.

        `scan(t).ids == encode(t)`, and a scan from where `kept` tells gives what the scan of the
        whole gives from there on, so that an edited text is read from the edit on only.
        """
        check_text(text)
        ids: list[int] = []
        ends: list[int] = []
        pre_tokenize = self._hf.pre_tokenizer.pre_tokenize_str
        for segment in _SEGMENT.finditer(text, start):
            marker = " " if self._marks(text, segment) else ""
            for piece, (_, end) in pre_tokenize(marker + segment.group()):
                ids.append(self._vocab.get(piece, self.unknown_id))
                ends.append(segment.start() + end - len(marker))
        return Scan(ids, ends)

    def _marks(self, text: str, segment: re.Match[str]) -> bool:
        """Whether the first piece of this segment is given the space of a line's start."""
        at_line_start = segment.start() == 0 or text[segment.start() - 1] == NEWLINE
        return self.mode == "natural" and at_line_start and segment.group() != NEWLINE

    @staticmethod
    def kept(ends: Sequence[int], old: str, new: str) -> int:
        """How many tokens of `old`, which end at `ends`, surely stand in `new` as well.

        Where it is not all of them, a scan of `new` may go on from the last one's end.
        """
        if old == new:
            return len(ends)
        count = bisect_right(ends, _common_prefix(old, new) - _LOOKAHEAD)
        while count and ends[count - 1] == (ends[count - 2] if count > 1 else 0):
            count -= 1  # the space of a line's start that stands before a blank is empty here
        return count

    def finish(self, text: str) -> Cut:
        """Read a text as finished words only: nothing is pending, blanks at its end wait."""
        finished = text.rstrip(_BLANKS)
        spaced = finished != text or not finished or is_word(finished[-1])
        return Cut(finished, "", spaced or finished[-1] == NEWLINE)

    def cut(self, text: str) -> Cut:
        """Read a text as a text box: a word at its very end is still being typed."""
        start = len(text)
        while start > 0 and self._may_be_pending(text[start - 1]):
            start -= 1
        if self.mode == "natural":  # an apostrophe before a word is a quotation mark
            start += len(text) - start - len(text[start:].lstrip(_APOSTROPHES))
        before = self.finish(text[:start])
        spaced = start == 0 or text[start - 1].isspace()
        return Cut(before.finished, text[start:], spaced)

    def join(self, text: str, more: str) -> str:
        """Set finished words behind a text: a space between, unless a mark closes up to it."""
        glued = not text or not more or text[-1].isspace() or more[0].isspace()
        closes = self.mode == "natural" and _CLOSING.match(more) is not None
        return text + more if glued or closes else f"{text} {more}"

    def spell(self, text: str, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Write token ids behind a text; the longer text, and where in it each of them ends.

        Raises VocabularyError where an id is outside the vocabulary.
        """
        self.check_ids(ids)
        ends: list[int] = []
        at_line_start = not text or text[-1] == NEWLINE
        for token_id in ids:
            token = self.tokens[token_id]
            if self.mode == "natural":
                text += token.removeprefix(" ") if at_line_start else token
            else:
                text += token if at_line_start or token == NEWLINE else f" {token}"
            at_line_start = token == NEWLINE
            ends.append(len(text))
        return text, ends

    def _may_be_pending(self, character: str) -> bool:
        if self.mode == "pretokenised":
            return not character.isspace()
        return character in _APOSTROPHES or is_word(character)

    @cached_property
    def words(self) -> WordIndex:
        """The words this vocabulary can suggest, by prefix."""
        return WordIndex(self.tokens)


def check_text(text: str) -> None:
    """Raise TextError where a text holds a NUL or half of a surrogate pair."""
    found = _UNREADABLE.search(text)
    if found is not None:
        what = "a NUL character" if found.group() == "\0" else "a lone surrogate (invalid UTF-16)"
        raise TextError(f"the text holds {what} at character {found.start()}")


def _common_prefix(a: str, b: str) -> int:
    """The length of the longest common prefix, by halving: the comparisons run in C."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _tokens_by_id(vocab: dict[str, int]) -> tuple[str, ...]:
    tokens = tuple(sorted(vocab, key=vocab.__getitem__))
    if tuple(vocab[token] for token in tokens) != tuple(range(len(tokens))):
        raise TokenizerError("its token ids are not 0, 1, 2 and so on")
    if tokens[: len(CONTROL_TOKENS)] != CONTROL_TOKENS:
        raise TokenizerError(f"its first tokens are not {CONTROL_TOKENS}")
    return tokens
