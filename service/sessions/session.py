"""One session: what was read, what the model remembers of it, what was last answered.

Sessions do not change. A change is planned (an `Edit`), run by the engine, and gives a new session,
which counts once a store has taken it: a step that fails leaves everything exactly as it was.
Must not know: HTTP, stores, clocks, the engine's queue.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.cache import CacheConfig, Recall
from models.text import Cut, Tokenizer
from models.words import is_suggestible
from service.engine.decode import Prediction
from service.engine.runner import Memory
from service.engine.trail import Trail

_LAST_TOKENS = 4
"""Tokens at the end of a text that are read one by one, their memories kept."""


@dataclass(frozen=True)
class Mark:
    """What the model remembered after the first `position` tokens."""

    position: int
    memory: Memory


@dataclass(frozen=True)
class Edit:
    """A change to a session: its first `keep` tokens stay, then come others.

    `base` is where the model's memory is taken up, and `token_ids` all it has to read from there:
    what is replayed up to `keep`, then what is new.
    """

    base: Mark
    token_ids: list[int]
    keep: int
    new_ids: list[int]
    new_ends: list[int]
    text: str
    pending: str
    spaced: bool

    def pieces(self) -> list[list[int]]:
        """What to read at once: all but the end of a long text, then token by token.

        So that the memory is known before each of the last few tokens, and taking back a few
        words replays nothing, typed or pasted.
        """
        split = max(len(self.token_ids) - _LAST_TOKENS, 0)
        singles = ([token_id] for token_id in self.token_ids[split:])
        return [piece for piece in (self.token_ids[:split], *singles) if piece] or [[]]


@dataclass(frozen=True)
class Answer:
    """What a step is answered with."""

    position: int
    pending: str
    predictions: list[Prediction]


@dataclass(frozen=True)
class PastStep:
    """An `advance` and its answer, so that the same one sent again gets it again."""

    at: int
    key: str | None
    body: str
    answer: Answer


@dataclass(frozen=True)
class Session:
    """A text as far as it was read; every change makes a new one, one revision on.

    `ends` tells where in `text` each token ends. `marks` are memories at recent positions, oldest
    first; the first stands at 0 and is always kept, the last at the position itself.
    """

    id: str
    model: str
    version: int
    created_at_s: float
    idle_ttl_s: float
    expires_at_s: float
    marks: tuple[Mark, ...]
    text: str = ""
    pending: str = ""
    spaced: bool = True
    token_ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    past_steps: tuple[PastStep, ...] = ()
    """The latest advances, oldest first."""
    revision: int = 0
    cache: CacheConfig | None = None
    """How its continuous cache is sized and weighted, if it has one."""
    trail: Trail | None = None
    """What that remembers of the places up to the position."""

    @property
    def position(self) -> int:
        """Tokens consumed."""
        return len(self.token_ids)

    @property
    def memory(self) -> Memory:
        """What the model remembers at the position."""
        return self.marks[-1].memory

    @property
    def finished(self) -> str:
        """The text up to the end of its last token."""
        return self.text[: self.ends[-1]] if self.ends else ""

    def edit_to(self, tokenizer: Tokenizer, text: str, cut: Cut) -> Edit:
        """The change that makes `text`, cut into finished words and a partial one, the text."""
        kept = tokenizer.kept(self.ends, self.finished, cut.finished)
        ids, ends = tokenizer.scan(cut.finished, self.ends[kept - 1] if kept else 0)
        same = 0
        old = zip(self.token_ids[kept:], self.ends[kept:], strict=True)
        for before, after in zip(old, zip(ids, ends, strict=True), strict=False):
            if before != after:
                break
            same += 1
        keep = kept + same
        return self._edit(keep, ids[same:], ends[same:], text, cut.pending, spaced=cut.spaced)

    def edit_by_ids(self, tokenizer: Tokenizer, token_ids: list[int]) -> Edit:
        """The change that sets token ids behind the finished words."""
        text, ends = tokenizer.spell(self.finished, token_ids)
        spaced = tokenizer.finish(text).spaced
        return self._edit(self.position, token_ids, ends, text, "", spaced=spaced)

    def edit_back_to(self, tokenizer: Tokenizer, position: int) -> Edit:
        """The change that leaves the first `position` tokens, at most as many as there are."""
        text = self.text[: self.ends[position - 1]] if position else ""
        spaced = tokenizer.finish(text).spaced
        return self._edit(position, [], [], text, "", spaced=spaced)

    def _edit(
        self, keep: int, ids: list[int], ends: list[int], text: str, pending: str, *, spaced: bool
    ) -> Edit:
        start = min(keep, self._replay_from(keep + len(ids)))
        base = self.marks[bisect_right([mark.position for mark in self.marks], start) - 1]
        replayed = self.token_ids[base.position : keep]
        return Edit(base, replayed + ids, keep, ids, ends, text, pending, spaced)

    def _replay_from(self, end: int) -> int:
        """Where reading must begin at the latest for the cache to be complete at `end`.

        Any place will do where the trail goes back as far as the cache will.
        """
        if self.cache is None or self.trail is None:
            return end
        oldest = max(0, end - self.cache.size)
        return end if self.position - len(self.trail) <= oldest else oldest

    def trail_before(self, mark: Mark) -> Trail | None:
        """The trail as it was at a mark."""
        return None if self.trail is None else self.trail.without(self.position - mark.position)

    def recall(self, unknown_id: int, edit: Edit | None = None) -> Recall | None:
        """The words that the cache holds, now or after a change; None without a cache."""
        if self.cache is None:
            return None
        keep, ids, ends, text = self.position, [], [], self.text
        if edit is not None:
            keep, ids, ends, text = edit.keep, edit.new_ids, edit.new_ends, edit.text
        first = max(0, keep + len(ids) - self.cache.size)
        ids = self.token_ids[first:keep] + ids[max(0, first - keep) :]
        starts = [] if first else [0]
        starts += self.ends[max(first - 1, 0) : keep] + ends[max(first - 1 - keep, 0) :]
        words = (text[start:end].strip() for start, end in pairwise(starts))
        pairs = zip(ids, words, strict=True)
        spellings = (
            word if token_id == unknown_id and is_suggestible(word) else None
            for token_id, word in pairs
        )
        return Recall(self.cache, tuple(ids), tuple(spellings))

    def after(
        self,
        edit: Edit,
        way: list[Mark],
        memory: Memory,
        max_marks: int,
        trail: Trail | None = None,
    ) -> Session:
        """The session after a change that the engine has run.

        `memory` is what it came to, `way` what it passed on the way there from the edit's base, and
        `trail` what a cache remembers of it.
        """
        token_ids = self.token_ids[: edit.keep] + edit.new_ids
        known = {mark.position: mark for mark in self.marks if mark.position <= edit.keep}
        known |= {mark.position: mark for mark in (*way, Mark(len(token_ids), memory))}
        marks = [known[position] for position in sorted(known)]
        return replace(
            self,
            text=edit.text,
            pending=edit.pending,
            spaced=edit.spaced,
            token_ids=token_ids,
            ends=self.ends[: edit.keep] + edit.new_ends,
            marks=(marks[0], *marks[1:][-max_marks:]),
            revision=self.revision + 1,
            trail=trail,
        )

    def remembering(self, step: PastStep, most: int) -> Session:
        """The session with one more step it knows again, of at most so many."""
        return replace(self, past_steps=(*self.past_steps, step)[-most:])
