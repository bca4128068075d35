"""What a tokenizer makes of a corpus, before hours are spent on training with it.

Must not know: models, files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from models.pipelines import Mode, pipeline
from training.texts import Texts

_SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_SHOWN = 12


@dataclass(frozen=True)
class Survey:
    """Pieces of the two texts, as the tokenizer cuts them."""

    name: str
    lines: int
    words: int
    """By white space, in the training text."""
    train: Counter[str]
    valid: Counter[str]
    was_split: bool

    def unknown_rate(self, vocabulary: int) -> float:
        """Share of the validation text's pieces that are not among the most frequent ones."""
        known = {piece for piece, _ in self.train.most_common(vocabulary - 2)}
        unknown = sum(n for piece, n in self.valid.items() if piece not in known)
        return unknown / max(1, self.valid.total())

    def report(self) -> str:
        """The survey as lines for a terminal."""
        kinds, pieces = len(self.train), self.train.total()
        once = sum(1 for count in self.train.values() if count == 1)
        text = (
            f"{self.name}: {self.lines:,} lines, {self.words:,} words, {pieces:,} tokens of "
            f"{kinds:,} kinds ({once:,} seen once)\n"
            f"{pieces / max(1, self.words):.2f} tokens a word; validation has "
            f"{self.valid.total():,} tokens{', set apart from the text' * self.was_split}\n\n"
            "vocabulary  unknown tokens in validation\n"
        )
        sizes = [*(size for size in _SIZES if size < kinds), kinds + 2]
        text += "".join(f"{size:10,}  {self.unknown_rate(size):7.2%}\n" for size in sizes)
        unseen = Counter({p: n for p, n in self.valid.items() if p not in self.train})
        text += f"\nmost frequent     {_spelt(self.train.most_common(_SHOWN))}\n"
        text += f"never trained on  {_spelt(unseen.most_common(_SHOWN)) or 'nothing'}"
        return text


def survey(texts: Texts, mode: Mode) -> Survey:
    """Cut both texts of a corpus into pieces and count them; CorpusError where one is unusable."""
    lines = words = 0
    for line in texts.train():
        lines += 1
        words += len(line.split())
    return Survey(
        name=texts.name,
        lines=lines,
        words=words,
        train=_count(texts.train(), mode),
        valid=_count(texts.valid(), mode),
        was_split=texts.was_split,
    )


def _count(lines: Iterable[str], mode: Mode) -> Counter[str]:
    normalizer, pre_tokenizer, _ = pipeline(mode)
    counts: Counter[str] = Counter()
    for line in lines:
        marked = normalizer.normalize_str(line)
        counts.update(piece for piece, _ in pre_tokenizer.pre_tokenize_str(marked))
    return counts


def _spelt(pieces: Iterable[tuple[str, int]]) -> str:
    return " ".join(repr(piece.strip()) if piece.strip() else repr(piece) for piece, _ in pieces)
