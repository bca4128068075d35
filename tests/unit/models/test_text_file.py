"""`tokenizer.json`: what is saved reads the same again, and what is not ours is refused."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
import tokenizers
from hypothesis import given

from models.errors import TokenizerError
from models.text import Mode, Tokenizer
from tests.unit.models.texts import composed, knowing

GOOD: dict[str, Any] = json.loads(Tokenizer.from_tokens([" a", " b"], "natural").to_json())
ADDED = {
    "id": 4,
    "content": "x",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}


@given(composed)
def test_a_saved_tokenizer_reads_the_same(text: str) -> None:
    """After saving and loading, text is read, written, suggested and saved as before."""
    for mode in ("natural", "pretokenised"):
        tokenizer = knowing(text, mode)
        again = Tokenizer.from_json(tokenizer.to_json())

        assert mode == again.mode
        assert tokenizer.tokens == again.tokens
        assert tokenizer.scan(text) == again.scan(text)
        assert tokenizer.decode(tokenizer.encode(text)) == again.decode(again.encode(text))
        assert tokenizer.words.shown == again.words.shown
        assert tokenizer.to_json() == again.to_json()


def test_the_file_works_in_its_own_library_alone() -> None:
    """Hugging Face's library reads and writes text with the file as this project does."""
    text = "Don't  stop\n 👍🏽 now"
    ours = knowing(text)
    theirs = tokenizers.Tokenizer.from_str(ours.to_json())

    assert ours.encode(text) == theirs.encode(text).ids
    assert text == theirs.decode(theirs.encode(text).ids, skip_special_tokens=False)


def broken(**changes: Any) -> str:
    """The good file with some of its parts replaced."""
    return json.dumps(GOOD | changes)


def with_ids(vocab: dict[str, int]) -> str:
    """The good file with other token ids."""
    described = copy.deepcopy(GOOD)
    described["model"]["vocab"] = vocab
    return json.dumps(described)


BROKEN = {
    "not JSON": ("{", "not a tokenizers file"),
    "another JSON": ("[]", "not a tokenizers file"),
    "another pre-tokenizer": (broken(pre_tokenizer={"type": "Whitespace"}), "pipeline"),
    "no pre-tokenizer": (broken(pre_tokenizer=None), "pipeline"),
    "no normaliser": (broken(normalizer=None), "pipeline"),
    "another normaliser": (broken(normalizer={"type": "Lowercase"}), "pipeline"),
    "no decoder": (broken(decoder=None), "pipeline"),
    "truncation": (
        broken(
            truncation={
                "direction": "Right",
                "max_length": 2,
                "strategy": "LongestFirst",
                "stride": 0,
            }
        ),
        "pipeline",
    ),
    "added tokens": (broken(added_tokens=[ADDED]), "pipeline"),
    "another unknown token": (
        broken(model={**GOOD["model"], "unk_token": " a"}),
        "pipeline",
    ),
    "another kind of model": (
        broken(model={"type": "BPE", "vocab": {"<unk>": 0, "\n": 1, "a": 2}, "merges": []}),
        "pipeline",
    ),
    "a gap in the ids": (with_ids({"<unk>": 0, "\n": 1, "a": 2, "b": 4}), "token ids"),
    "a far id": (with_ids({"<unk>": 0, "\n": 1, "a": 10**5}), "token ids"),
    "a negative id": (with_ids({"<unk>": 0, "\n": 1, "a": -1}), "not a tokenizers file"),
    "control tokens exchanged": (with_ids({"<unk>": 1, "\n": 0, "a": 2}), "first tokens"),
    "no line break": (with_ids({"<unk>": 0, "a": 1}), "first tokens"),
    "no unknown token": (with_ids({"a": 0, "\n": 1}), "first tokens"),
    "no tokens": (with_ids({}), "first tokens"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_foreign_or_broken_file_is_refused(case: str) -> None:
    """A file that would not read text as this project does is refused with a TokenizerError."""
    text, words = BROKEN[case]

    with pytest.raises(TokenizerError, match=words):
        Tokenizer.from_json(text)


def test_an_id_that_stands_twice_is_refused() -> None:
    """Two tokens of one id are refused, whichever check comes first."""
    with pytest.raises(TokenizerError):
        Tokenizer.from_json(with_ids({"<unk>": 0, "\n": 1, "a": 2, "b": 2}))


def test_a_huge_id_is_refused_at_once() -> None:
    """A small file cannot keep the reader busy by naming a token id far away."""
    started = time.process_time()

    with pytest.raises(TokenizerError, match="token ids"):
        Tokenizer.from_json(with_ids({"<unk>": 0, "\n": 1, "a": 2 * 10**8}))

    assert time.process_time() - started < 5


@pytest.mark.parametrize("mode", ["natural", "pretokenised"])
def test_the_file_tells_its_kind_of_text(mode: Mode) -> None:
    """The kind of text is read off the file and stands nowhere else."""
    assert mode == Tokenizer.from_json(Tokenizer.from_tokens(["a"], mode).to_json()).mode
