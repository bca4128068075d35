"""Your own text, however it lies about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from training.errors import CorpusError
from training.texts import find_texts

DOCUMENTS = [f"document {n}\nsecond line of {n}" for n in range(40)]
WHOLE = "\n\n".join(DOCUMENTS) + "\n"


def documents(lines: list[str]) -> list[str]:
    """Lines as the documents that blank lines part."""
    return [part.strip("\n") for part in "\n".join(lines).split("\n\n") if part.strip()]


def jsonl(texts: list[str], field: str = "body") -> str:
    """Records with the texts under a field."""
    return "".join(json.dumps({"id": n, field: text}) + "\n" for n, text in enumerate(texts))


@pytest.fixture(params=["one file", "many files", "records", "many records", "no valid.txt"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same forty documents in each of the forms that are split by themselves."""
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    if request.param == "one file":
        (folder / "all.text").write_text(WHOLE)
        return folder / "all.text"
    if request.param == "many files":
        for n, document in enumerate(DOCUMENTS):
            (folder / ("deep" if n % 2 else ".") / f"{n:02}.txt").write_text(document + "\n")
    elif request.param == "records":
        (folder / "all.jsonl").write_text(jsonl(DOCUMENTS))
        return folder / "all.jsonl"
    elif request.param == "many records":
        (folder / "a.jsonl").write_text(jsonl(DOCUMENTS[:30]))
        (folder / "deep" / "b.jsonl").write_text(jsonl(DOCUMENTS[30:]))
    else:
        (folder / "train.txt").write_text(WHOLE)
    return folder


def test_every_document_is_trained_on_or_validated_with(place: Path) -> None:
    """One in twenty is set apart, none is lost, none is in both, and it is so every time."""
    texts = find_texts(place, field="body")
    train, valid = documents(list(texts.train())), documents(list(texts.valid()))

    assert texts.was_split
    assert 38 == len(train)
    assert 2 == len(valid)
    assert sorted(DOCUMENTS) == sorted(train + valid)
    assert list(texts.train()) == list(find_texts(place, field="body").train())


def test_two_texts_are_taken_as_they_are(tmp_path: Path) -> None:
    """Where there is a valid.txt nothing is set apart, and the hash is the file's."""
    (tmp_path / "train.txt").write_text(WHOLE)
    (tmp_path / "valid.txt").write_text("one\n")
    texts = find_texts(tmp_path)

    assert not texts.was_split
    assert WHOLE.splitlines() == list(texts.train())
    assert ["one"] == list(texts.valid())
    assert hashlib.sha256(WHOLE.encode()).hexdigest() == texts.sha256()


def test_a_text_without_blank_lines_is_split_too(tmp_path: Path) -> None:
    """Long stretches are cut into documents."""
    (tmp_path / "log.txt").write_text("".join(f"line {n}\n" for n in range(6000)))
    texts = find_texts(tmp_path / "log.txt")

    assert 200 == len(list(texts.valid()))
    assert 5800 == len(list(texts.train()))


@pytest.mark.parametrize(
    ("name", "content", "field", "said"),
    [
        ("a.jsonl", jsonl(DOCUMENTS), None, "name the field of the text with --field"),
        ("a.jsonl", jsonl(DOCUMENTS), "text", r"line 1 has no text under 'text'"),
        ("a.jsonl", jsonl(DOCUMENTS) + "{oops\n", "body", "line 41 is not JSON"),
        ("a.jsonl", jsonl(DOCUMENTS) + "[1]\n", "body", "line 41 has no text under"),
        ("a.jsonl", jsonl(["a\0b"] * 40), "body", "line 1 has a NUL"),
        ("a.txt", "just one\n", None, "too short to set a part of it aside"),
        ("a.md", "", None, "holds no .txt and no .jsonl file"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str, field: str | None, said: str
) -> None:
    """Each mistake has its sentence."""
    (tmp_path / name).write_text(content)

    with pytest.raises(CorpusError, match=said):
        list(find_texts(tmp_path, field).train())
