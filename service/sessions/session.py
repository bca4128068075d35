"""One session: what was read, what the model remembers of it, what was last answered.

A change is planned first (an `Edit`), run by the engine, and committed only then, in one go: a
step that fails leaves the session exactly as it was.
Must not know: HTTP, stores, clocks, the engine's queue.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass, field

from models.text import Cut, Tokenizer
from service.engine.decode import Prediction
from service.engine.runner import Memory


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


@dataclass(frozen=True)
class Answer:
    """What a step is answered with."""

    position: int
    pending: str
    predictions: list[Prediction]


@dataclass(frozen=True)
class LastStep:
    """The last `advance` and its answer, so that the same one sent again gets it again."""

    at: int
    key: str | None
    body: object
    answer: Answer


@dataclass
class Session:
    """A text as far as it was read. Only `commit` changes it, and only between two awaits.

    `ends` tells where in `text` each token ends. `marks` are memories at recent positions, oldest
    first; the first stands at 0 and is always kept, the last at the position itself.
    """

    id: str
    model: str
    version: int
    created_at_s: float
    idle_ttl_s: float
    expires_at_s: float
    max_marks: int
    marks: list[Mark]
    text: str = ""
    pending: str = ""
    spaced: bool = True
    token_ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    last_step: LastStep | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Steps of one session run one at a time, in the order they came."""

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

    def _edit(
        self, keep: int, ids: list[int], ends: list[int], text: str, pending: str, *, spaced: bool
    ) -> Edit:
        base = self.marks[bisect_right([mark.position for mark in self.marks], keep) - 1]
        replayed = self.token_ids[base.position : keep]
        return Edit(base, replayed + ids, keep, ids, ends, text, pending, spaced)

    def commit(self, edit: Edit, memory: Memory) -> None:
        """Make a change that the engine has run; `memory` is what it came to."""
        self.token_ids[edit.keep :] = edit.new_ids
        self.ends[edit.keep :] = edit.new_ends
        self.text, self.pending, self.spaced = edit.text, edit.pending, edit.spaced
        marks = [mark for mark in self.marks if mark.position <= edit.keep]
        if marks[-1].position != self.position:
            marks.append(Mark(self.position, memory))
        recent = max(len(marks) - self.max_marks, 0)
        self.marks = [marks[0], *marks[recent + 1 :]]
