"""The two kinds of text, and the Hugging Face pipeline of each: mark, cut, put together again.

Must not know: vocabularies' contents, words, suggestions.
"""

from __future__ import annotations

from typing import Literal

import tokenizers
from tokenizers import Regex, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from models.errors import TokenizerError
from models.words import UNKNOWN

Mode = Literal["natural", "pretokenised"]

_WORD = r"[\p{L}\p{M}\p{N}]"
_PIECE = rf" ?{_WORD}+(?:['’]{_WORD}+)*| ?[^\s\p{{L}}\p{{M}}\p{{N}}]|\n|\s"
_LINE_START = r"(?<![^\n])(?=[^\n])"

Pipeline = tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer, decoders.Decoder]


def pipeline(mode: Mode) -> Pipeline:
    """How text of a kind is marked, cut into pieces, and put together again."""
    if mode == "natural":
        return (
            normalizers.Replace(Regex(_LINE_START), " "),
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
            decoders.Sequence(
                [decoders.Fuse(), decoders.Replace(Regex(r"(?<![^\n]) "), "")],
            ),
        )
    return (
        normalizers.Sequence([]),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\n"), "isolated"),
                pre_tokenizers.Split(Regex(r"[^\S\n]+"), "removed"),
            ]
        ),
        decoders.Sequence(
            [
                decoders.WordPiece(prefix="\0", cleanup=False),
                decoders.Fuse(),
                decoders.Replace(Regex(r" ?\n ?"), "\n"),
            ]
        ),
    )


def assemble(vocab: dict[str, int], mode: Mode) -> tokenizers.Tokenizer:
    """A Hugging Face tokenizer of this vocabulary for a kind of text."""
    hf = tokenizers.Tokenizer(WordLevel(vocab, unk_token=UNKNOWN))
    hf.normalizer, hf.pre_tokenizer, hf.decoder = pipeline(mode)
    return hf


def mode_of(hf: tokenizers.Tokenizer) -> Mode:
    """Tell the kind of text by the file's own pipeline, so that no second place can disagree."""
    modes: tuple[Mode, ...] = ("natural", "pretokenised")
    for mode in modes:
        if assemble(hf.get_vocab(), mode).to_str() == hf.to_str():
            return mode
    raise TokenizerError("its pipeline is not one of nextword's (natural, pretokenised)")
