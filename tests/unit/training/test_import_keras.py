"""Keras' arrays and words become a bundle that predicts what the Keras model does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import bundle
from models.bundle import Bundle
from tests import reference
from tests.unit.training.keras_files import (
    CELLS,
    HIDDEN,
    INPUTS,
    ROWS,
    WORDS,
    Arrays,
    bring,
    keras_arrays,
)
from tests.unit.training.support import Say
from training.config import Storage
from training.export import Packing
from training.import_keras import KerasModel, import_keras
from training.scorer import OnnxScorer


def log_probabilities(cell: str, arrays: Arrays, rows_BT: np.ndarray) -> np.ndarray:
    """What the Keras model itself says behind each row of its embedding: [B, T, V]."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    y_TBH = arrays["embedding"][rows_BT.T]
    for number in itertools.count():
        layer = f"layer{number}."
        mine = {n.removeprefix(layer): a for n, a in arrays.items() if n.startswith(layer)}
        if not mine:
            break
        zeros = np.zeros((len(rows_BT), HIDDEN))
        state = [zeros, zeros] if "lstm" in cell else [zeros]
        y_TBH, _ = reference.run(cell, reference.from_keras(cell, mine), y_TBH, state)
    logits = y_TBH @ arrays["dense.kernel"] + arrays["dense.bias"]
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits.transpose(1, 0, 2)


def scored(loaded: Bundle, ids_BT: np.ndarray, *, fused: bool = True) -> np.ndarray:
    """The bundle's log-probabilities behind each token: [B, T, V]."""
    scorer = OnnxScorer(*loaded.graphs(fused=fused), threads=1)
    B, T = ids_BT.shape
    hidden, _ = scorer.read(ids_BT, np.full(B, T, np.int32), scorer.initial_state(B))
    return scorer.log_probs(hidden.reshape(B * T, -1)).reshape(B, T, -1)


def random_rows(rows: int) -> np.ndarray:
    """Four texts of nine tokens."""
    return np.random.default_rng(5).integers(0, rows, (4, 9))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_an_imported_model_predicts_what_it_did(cell, layers, fused, tmp_path: Path) -> None:
    """Probabilities are those of the plain equations, at every token of a text."""
    arrays = keras_arrays(cell, layers)
    loaded = bring(tmp_path, cell, arrays, WORDS)
    rows_BT = random_rows(ROWS)

    found, wanted = scored(loaded, rows_BT, fused=fused), log_probabilities(cell, arrays, rows_BT)

    np.testing.assert_allclose(np.exp(found), np.exp(wanted), atol=1e-6, rtol=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    shape = loaded.manifest.architecture
    assert (cell, layers, HIDDEN, INPUTS, ROWS, False) == (
        *(shape.cell, shape.layers, shape.hidden, shape.embedding),
        *(shape.vocabulary, shape.tied),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_any_width_of_floats_is_read(dtype: Any, tmp_path: Path) -> None:
    """Halves, doubles and foreign byte orders are what they are worth in float32."""
    arrays = {name: array.astype(dtype) for name, array in keras_arrays().items()}

    found = scored(bring(tmp_path, "lstm", arrays, WORDS), random_rows(ROWS))

    wanted = log_probabilities("lstm", arrays, random_rows(ROWS))
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("storage", "most"), [("float16", 2e-2), ("int8", 2e-1)])
def test_weights_can_be_stored_small(storage: Storage, most: float, tmp_path: Path) -> None:
    """The model is then rounded, and near the one that was handed in."""
    arrays = keras_arrays()
    packing = Packing(storage=storage, licence="Mine.")
    loaded = bring(tmp_path, "lstm", arrays, WORDS, packing)

    wanted = log_probabilities("lstm", arrays, random_rows(ROWS))
    off = np.abs(scored(loaded, random_rows(ROWS)) - wanted).max()
    assert 1e-6 < off < most
    assert f"stored as {storage}" in loaded.files["README.md"].decode()
    assert ("import-keras", "Mine.") == (
        loaded.manifest.provenance.recipe,
        loaded.manifest.provenance.licence,
    )
    assert "weights.npz" in loaded.manifest.provenance.corpus


VOCABULARIES = {
    "two lines fewer": (WORDS, [0, 1, 2, 3, 4, 5, 6, 7]),
    "both at the end": ([*WORDS, "</s>", "<unk>"], [7, 6, 0, 1, 2, 3, 4, 5]),
    "as written by us": (["<unk>", "\\n", *WORDS], [0, 1, 2, 3, 4, 5, 6, 7]),
    "in the middle": (["the", "<OOV>", "cat", "<eos>", *WORDS[2:]], [1, 3, 0, 2, 4, 5, 6, 7]),
    "no line break": (["the", "[UNK]", *WORDS[1:], "dog"], [1, None, 0, 2, 3, 4, 5, 6, 7]),
    "no unknown token": (["<newline>", *WORDS, "dog"], [None, 0, 1, 2, 3, 4, 5, 6, 7]),
    "neither": ([*WORDS, "dog", "ran"], [None, None, 0, 1, 2, 3, 4, 5, 6, 7]),
    "TextVectorization's": (["", "[UNK]", *WORDS], [1, None, 0, 2, 3, 4, 5, 6, 7]),
    "padding spelt out": (["[PAD]", "<UNK>", *WORDS], [1, None, 0, 2, 3, 4, 5, 6, 7]),
}
"""Lines of the file, and the row of each token, control tokens first."""


@pytest.mark.parametrize("case", VOCABULARIES)
def test_every_word_keeps_its_row(case: str, tmp_path: Path) -> None:
    """Control tokens come first; one without a row is never predicted, and reads as zeros."""
    lines, rows = VOCABULARIES[case]
    arrays = keras_arrays()
    loaded = bring(tmp_path, "lstm", arrays, lines)
    known = [token for token, row in enumerate(rows) if row is not None]
    zeros = [token for token, row in enumerate(rows) if row is None]
    of_token = np.array([ROWS if row is None else row for row in rows])
    widened = arrays | {"embedding": np.vstack([arrays["embedding"], np.zeros((1, INPUTS))])}
    ids_BT = random_rows(len(rows))

    found = scored(loaded, ids_BT)

    assert ("<unk>", "\n") == loaded.tokenizer.tokens[:2]
    if len(lines) == ROWS:
        first = [lines[row] for row in rows[2:]]
        assert (
            tuple(line if line not in ("", "[PAD]") else "<pad>" for line in first)
            == (loaded.tokenizer.tokens[2:])
        )
    wanted = log_probabilities("lstm", widened, of_token[ids_BT])[..., of_token[known]]
    np.testing.assert_allclose(np.exp(found[..., known]), np.exp(wanted), atol=1e-6, rtol=0)
    assert not np.exp(found[..., zeros]).any()


def test_padding_is_a_word_like_others(tmp_path: Path) -> None:
    """What Keras gives to padding stays there, so that all other probabilities stay as they are."""
    loaded = bring(tmp_path, "lstm", keras_arrays(), ["", "[UNK]", *WORDS])

    assert [2, 4, 0, 1, 3] == loaded.tokenizer.encode("<pad> cat dog\nthe")


def test_a_file_from_elsewhere_is_read(tmp_path: Path) -> None:
    """A byte order mark, carriage returns and a missing line end at the end do no harm."""
    arrays = keras_arrays()
    bring(tmp_path, "lstm", arrays, WORDS)
    text = "\ufeff" + "\r\n".join(WORDS)
    (tmp_path / "words.txt").write_bytes(text.encode())
    source = KerasModel(tmp_path / "weights.npz", tmp_path / "words.txt", "lstm")

    loaded = bundle.load(import_keras(source, tmp_path, "m", 2, Packing()))

    assert ("<unk>", "\n", *WORDS) == loaded.tokenizer.tokens


COMMAND = ("import-keras", "@weights.npz", "--vocabulary", "@words.txt", "--to", "@repository")


def test_the_command_writes_a_bundle(say: Say, tmp_path: Path) -> None:
    """All options arrive."""
    np.savez(tmp_path / "weights.npz", **keras_arrays("rnn_relu"))
    (tmp_path / "words.txt").write_text("\n".join(WORDS))

    status, said, _ = say(
        *(*COMMAND, "--cell", "simple_rnn", "--activation", "relu", "--name", "m"),
        *("--version", "3", "--weights", "float16", "--licence", "Mine."),
    )

    assert (0, f"wrote {tmp_path / 'repository' / 'm' / '3'}\n") == (status, said)
    loaded = bundle.load(tmp_path / "repository" / "m" / "3")
    assert ("rnn_relu", "Mine.") == (
        loaded.manifest.architecture.cell,
        loaded.manifest.provenance.licence,
    )
    assert "stored as float16" in loaded.files["README.md"].decode()


def test_a_mistake_is_one_line_and_status_2(say: Say, tmp_path: Path) -> None:
    """Weights that do not fit, and a version that is there, end in one line on stderr."""
    np.savez(tmp_path / "weights.npz", **keras_arrays())
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    say(*COMMAND, "--cell", "lstm", "--name", "m")

    for cell, words in (("gru", "layer0.recurrent_kernel has the shape"), ("lstm", "never over")):
        status, out, err = say(*COMMAND, "--cell", cell, "--name", "m")
        assert (2, "", 1) == (status, out, err.count("\n"))
        assert err.startswith("error: ")
        assert words in err
