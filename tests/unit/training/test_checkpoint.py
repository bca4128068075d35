"""A run's folder: written whole or not at all, and every broken file in it told by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.text import Tokenizer
from tests.unit.training.support import run_config
from training.checkpoint import (
    RunInfo,
    create_run,
    load_run,
    read_info,
    read_tensors,
    save_tensors,
    write_whole,
)
from training.config import RunConfig
from training.errors import RunError, TrainingError
from training.model import LanguageModel

CONFIG = run_config(vocabulary=4)
INFO = RunInfo(recipe="recipe", config=CONFIG, corpus_name="chats", corpus_sha256="ab")
METRICS = {"step": 3, "valid_loss": 0.5, "valid_perplexity": 1.6}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with a best model."""
    create_run(tmp_path / "run", INFO, Tokenizer.from_tokens([" a", " b"], "natural"))
    model = LanguageModel(CONFIG)
    save_tensors(tmp_path / "run" / "best.safetensors", model.state_dict(), METRICS)
    return tmp_path / "run"


def test_a_run_is_read_as_it_was_written(run: Path) -> None:
    """Description, tokenizer and figures come back."""
    kept = load_run(run)

    assert INFO == kept.info == read_info(run)
    assert METRICS == kept.metrics
    assert ("<unk>", "\n", " a", " b") == kept.tokenizer.tokens


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    """Any type and shape, transposed ones too, and metadata survive the file."""
    tensors = {
        "a": torch.tensor([float("nan"), -0.0, 1e-45]),
        "b": torch.arange(6).view(2, 3).t(),
        "c": torch.tensor(3, dtype=torch.uint8),
    }
    save_tensors(tmp_path / "x", tensors, {"loss": 0.1, "n": 3, "none": None})

    again, metadata = read_tensors(tmp_path / "x")

    assert {"loss": 0.1, "n": 3, "none": None} == metadata
    for name, tensor in tensors.items():
        assert tensor.dtype == again[name].dtype
        assert torch.equal(tensor.nan_to_num(), again[name].nan_to_num())


def test_a_second_run_in_the_same_folder_is_refused(run: Path) -> None:
    """A folder holds one run."""
    with pytest.raises(RunError, match="holds a run already"):
        create_run(run, INFO, Tokenizer.from_tokens([" c"], "natural"))

    assert ("<unk>", "\n", " a", " b") == load_run(run).tokenizer.tokens


def test_writing_replaces_the_old_file_whole(tmp_path: Path) -> None:
    """The new content is there and nothing else is."""
    for content in (b"old and long", b"new"):
        write_whole(tmp_path / "file", content)

        assert {"file": content} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    """The new file takes the old one's place without touching what is in it."""
    write_whole(tmp_path / "file", b"old and long")

    with (tmp_path / "file").open("rb") as old:
        write_whole(tmp_path / "file", b"new")
        assert old.read() == b"old and long"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Where writing fails half-way, the old file is whole and nothing is left beside it."""
    write_whole(tmp_path / "file", b"old")

    with pytest.raises(TypeError):
        write_whole(tmp_path / "file", [b"half", None])  # type: ignore[arg-type]  # it shall fail

    assert {"file": b"old"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_failed_rename_leaves_nothing_beside(tmp_path: Path) -> None:
    """Where the place is taken by a folder, the temporary file goes away again."""
    (tmp_path / "file").mkdir()

    with pytest.raises(RunError, match="file cannot be written: Is a directory"):
        write_whole(tmp_path / "file", b"new")

    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def write(name: str, content: bytes) -> Callable[[Path], object]:
    """Put something else in a file's place."""
    return lambda run: (run / name).write_bytes(content)


def remove(name: str) -> Callable[[Path], object]:
    """Take a file away."""
    return lambda run: (run / name).unlink()


def cut(name: str) -> Callable[[Path], object]:
    """Leave half of a file."""
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:-20])


def describe(**changes: Any) -> Callable[[Path], object]:
    """Change run.json."""

    def spoil(run: Path) -> None:
        described = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(described | changes))

    return spoil


def weights_of(config: RunConfig) -> Callable[[Path], object]:
    """Put another model's weights in."""
    tensors = LanguageModel(config).state_dict()
    return lambda run: save_tensors(run / "best.safetensors", tensors, METRICS)


def words(*tokens: str) -> Callable[[Path], object]:
    """Put another tokenizer in."""
    text = Tokenizer.from_tokens(tokens, "natural").to_json()
    return lambda run: (run / "tokenizer.json").write_text(text)


BROKEN = {
    "no description": (remove("run.json"), r"holds no run \(no run\.json\)"),
    "a description that is no JSON": (write("run.json", b"{"), r"run\.json is broken"),
    "a description that is not UTF-8": (write("run.json", b"\xff"), r"run\.json is broken"),
    "a list as description": (write("run.json", b"[]"), r"run\.json is broken"),
    "a description without a corpus": (describe(corpus={}), r"run\.json is broken"),
    "a configuration of another time": (describe(config={"gates": 3}), "unknown key 'gates'"),
    "a configuration out of range": (describe(config={"layers": 0}), "layers: "),
    "no tokenizer": (remove("tokenizer.json"), r"tokenizer\.json"),
    "a broken tokenizer": (write("tokenizer.json", b"{"), r"tokenizer\.json: not a tokenizers"),
    "a tokenizer of another size": (words(" a"), r"tokenizer\.json"),
    "no weights": (remove("best.safetensors"), r"no best\.safetensors in .*: nothing was saved"),
    "weights cut short": (cut("best.safetensors"), r"best\.safetensors is broken"),
    "empty weights": (write("best.safetensors", b""), r"best\.safetensors is broken"),
    "weights that are a pickle": (
        write("best.safetensors", b"\x80\x04\x95" + b"x" * 99),
        r"best\.safetensors is broken",
    ),
    "weights of another size": (
        weights_of(run_config(vocabulary=4, hidden=5)),
        r"best\.safetensors",
    ),
    "weights of another cell": (
        weights_of(run_config(vocabulary=4, cell="peephole_lstm")),
        r"best\.safetensors",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_run_is_told_by_name(run: Path, case: str) -> None:
    """Each broken or missing file ends in one error that says which it is."""
    spoil, words = BROKEN[case]
    spoil(run)

    with pytest.raises(TrainingError, match=words):
        load_run(run)
