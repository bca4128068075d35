"""The command line: every mistake ends in one line that says what was wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import onnx
import pytest

from tests.unit.training.support import SIZES, Say
from training.cli import main

SMALL = ["--set", "vocabulary=17", "--set", "hidden=8", "--set", "batch=4", "--set", "epochs=0.1"]
TRAIN = ("train", "tiny", "--data", "@corpus", "--out", "@new")
RANDOM = ("random", "--cell", "gru", *SIZES, "--to", "@repository", "--name")
WORDS = ["--vocabulary", "words.txt"]
MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown recipe": (("train", "tinny", *TRAIN[2:]), "did you mean 'tiny'?"),
    "an unknown key": ((*TRAIN, "--set", "hiden=3"), "unknown key 'hiden' (did you mean 'hidden'"),
    "a bad value": ((*TRAIN, "--set", "hidden=x"), "hidden: "),
    "no value": ((*TRAIN, "--set", "hidden"), "--set takes key=value"),
    "a missing corpus": (("train", "tiny", "--data", "@no", "--out", "@new"), "there is no folder"),
    "a small corpus": ((*TRAIN, "--set", "vocabulary=99"), "a vocabulary of 99 tokens"),
    "nothing to resume": ((*TRAIN, *SMALL, "--resume"), "holds no run"),
    "a run in a file's place": (
        ("train", "tiny", "--data", "@corpus", "--out", "@corpus/test.txt", *SMALL),
        "test.txt",
    ),
    "a missing text": (("evaluate", "@repository/r/1", "--data", "@no.txt"), "no no.txt in"),
    "no model": (("evaluate", "@corpus", "--data", "@corpus/test.txt"), "holds no run"),
    "a broken bundle": (("evaluate", "@broken", "--data", "@corpus/test.txt"), "head.onnx has "),
    "a broken graph": (("evaluate", "@foreign", "--data", "@corpus/test.txt"), "no valid ONNX"),
    "no run to export": (("export", "@no", "--name", "m", "--to", "@repository"), "holds no run"),
    "a version that is there": ((*RANDOM, "r"), "versions are never overwritten"),
    "a name that is a path": ((*RANDOM, "../r"), "name"),
    "a name with a space": ((*RANDOM, "my model"), "name"),
    "a repository that is a file": (
        ("random", "--cell", "gru", *SIZES, "--name", "r", "--to", "@corpus/test.txt"),
        "test.txt",
    ),
    "a vocabulary without words": (
        (*RANDOM, "q", "--vocabulary", "2"),
        "vocabulary: ",
    ),
    "a missing test text": (
        ("export", "@run", "--name", "m", "--to", "@x", "--test", "@no.txt"),
        "no no.txt in",
    ),
    "a baseline of nothing": (
        ("export", "@run", "--name", "m", "--to", "@x", "--baseline"),
        "--baseline needs --test FILE",
    ),
    "a baseline without a text to learn": (
        ("export", "@run", "--name", "m", "--to", "@x", "--baseline", "--test", "@alone/fine.txt"),
        "there is no train.txt beside",
    ),
    **{
        f"notes that are {fault}": (
            ("export", "@run", "--name", "m", "--to", "@x", "--notes", file),
            words,
        )
        for fault, file, words in (
            ("missing", "@no.md", "there is no no.md"),
            ("of other bytes", "@latin.txt", "latin.txt: line 1 is not UTF-8"),
            ("a folder", "@corpus", "corpus: Is a directory"),
            ("empty", "@empty.md", "empty.md is empty"),
        )
    },
    "a missing licence": (
        ("export", "@run", "--name", "m", "--to", "@x", "--licence-file", "@no.txt"),
        "there is no no.txt",
    ),
    "a licence of other bytes": (
        ("export", "@run", "--name", "m", "--to", "@x", "--licence-file", "@latin.txt"),
        "latin.txt",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    case: str, say: Say, corpus: Path, tmp_path: Path
) -> None:
    """Every mistake ends in one line `error: ...` on stderr, nothing on stdout, and status 2."""
    say(*RANDOM, "r")
    spoil_bundles(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.md").write_bytes(b"\n")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "fine.txt").write_text("the cat\n")
    arguments, words = MISTAKES[case]

    status, out, err = say(*arguments)

    assert (2, "") == (status, out)
    assert err.startswith("error: ")
    assert words in err
    assert 1 == err.count("\n")


def spoil_bundles(folder: Path) -> None:
    """Make `@broken`, whose head is cut short, and `@foreign`, whose head is no valid graph."""
    good = folder / "repository" / "r" / "1"
    for name in ("broken", "foreign"):
        shutil.copytree(good, folder / name)
    os.truncate(folder / "broken" / "head.onnx", 10)
    graph = onnx.load(good / "head.onnx")
    graph.graph.node[0].op_type = "Frobnicate"
    content = graph.SerializeToString()
    (folder / "foreign" / "head.onnx").write_bytes(content)
    described = json.loads((good / "bundle.json").read_text())
    seal = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    described["files"]["head.onnx"] = seal
    (folder / "foreign" / "bundle.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "tiny"],
        ["random", "--cell", "transformer", *SIZES, "--name", "r", "--to", "x"],
        ["random", "--cell", "gru", *SIZES, "--layers", "0", "--name", "r", "--to", "x"],
        ["random", "--cell", "gru", *SIZES, "--hidden", "many", "--name", "r", "--to", "x"],
        ["export", "run", "--name", "m", "--to", "x", "--weights", "int4"],
        ["import-keras", "w.npz", "--cell", "rnn_tanh", *WORDS, "--name", "m", "--to", "x"],
        ["import-keras", "w.npz", "--cell", "lstm", "--name", "m", "--to", "x"],
    ],
)
def test_arguments_of_no_sense_are_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What the command line itself cannot read is told with its usage and the same status."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    assert stopped.value.code == 2
    assert "usage: python -m training" in capsys.readouterr().err
