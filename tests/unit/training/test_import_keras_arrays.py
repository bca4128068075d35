"""Every fault in a Keras model's arrays is told in one sentence, and nothing is written."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.training.keras_files import (
    HIDDEN,
    INPUTS,
    ROWS,
    Arrays,
    assert_refused,
    keras_arrays,
)
from training.errors import WeightsError
from training.export import Packing
from training.import_keras import KerasModel, import_keras
from training.keras_arrays import PEEPHOLES


def put(**changes: Any) -> Callable[[Arrays], Arrays]:
    """Set arrays; `__` in a name stands for its dot."""
    return lambda arrays: arrays | {name.replace("__", "."): a for name, a in changes.items()}


def leave_out(*names: str) -> Callable[[Arrays], Arrays]:
    """Take arrays away."""
    return lambda arrays: {name: array for name, array in arrays.items() if name not in names}


def rename(old: str, new: str) -> Callable[[Arrays], Arrays]:
    """Give an array another name."""
    return lambda arrays: {new if name == old else name: a for name, a in arrays.items()}


def set_one(name: str, value: float) -> Callable[[Arrays], Arrays]:
    """Change the second number of an array."""

    def change(arrays: Arrays) -> Arrays:
        array = arrays[name].astype(np.float64)
        array.flat[1] = value
        return arrays | {name: array}

    return change


def zeros(*shape: int) -> np.ndarray:
    """An array of zeros."""
    return np.zeros(shape, np.float32)


SPOILED: dict[str, tuple[str, int, Callable[[Arrays], Arrays], str]] = {
    "one is missing": (
        "lstm",
        1,
        leave_out("layer0.bias"),
        "weights.npz lacks layer0.bias",
    ),
    "several are missing": (
        "lstm",
        2,
        leave_out("embedding", "layer1.kernel", "dense.bias"),
        "weights.npz lacks embedding, layer1.kernel, dense.bias",
    ),
    "no layers": (
        "lstm",
        0,
        put(),
        "weights.npz lacks layer0.kernel, layer0.recurrent_kernel, layer0.bias",
    ),
    "nothing": (
        "simple_rnn",
        0,
        lambda _: {},
        (
            "weights.npz lacks embedding, layer0.kernel, layer0.recurrent_kernel, layer0.bias, "
            "dense.kernel, dense.bias"
        ),
    ),
    "a name misspelt": (
        "lstm",
        1,
        rename("layer0.recurrent_kernel", "layer0.recurent_kernel"),
        (
            "weights.npz lacks layer0.recurrent_kernel and holds what no lstm of 1 layer(s) has: "
            "layer0.recurent_kernel (did you mean 'layer0.recurrent_kernel'?)"
        ),
    ),
    "one too many": (
        "lstm",
        1,
        put(iterations=zeros(1), dense__kernel2=zeros(2)),
        "weights.npz holds what no lstm of 1 layer(s) has: iterations (",
    ),
    "a number that begins with nought": (
        "lstm",
        1,
        put(layer01__kernel=zeros(1)),
        "layer01.kernel (did you mean 'layer0.kernel'?)",
    ),
    "a gap": (
        "lstm",
        1,
        put(layer2__kernel=zeros(1)),
        "there is a layer2, but no layer1",
    ),
    "a layer far away": (
        "lstm",
        1,
        put(**{f"layer{10**30}__bias": zeros(1)}),
        f"there is a layer{10**30}, but no layer1",
    ),
    "peepholes in an LSTM": (
        "lstm",
        1,
        put(**{f"layer0__{part}": zeros(HIDDEN) for part in PEEPHOLES}),
        (
            "holds what no lstm of 1 layer(s) has: layer0.input_gate_peephole_weights, "
            "layer0.forget_gate_peephole_weights, layer0.output_gate_peephole_weights; "
            "with peepholes it is --cell peephole_lstm"
        ),
    ),
    "no peepholes": (
        "peephole_lstm",
        1,
        leave_out(*(f"layer0.{part}" for part in PEEPHOLES)),
        (
            "weights.npz lacks layer0.input_gate_peephole_weights, "
            "layer0.forget_gate_peephole_weights, layer0.output_gate_peephole_weights; "
            "without peepholes it is --cell lstm"
        ),
    ),
    "one peephole missing": (
        "peephole_lstm",
        2,
        leave_out("layer1.output_gate_peephole_weights"),
        "weights.npz lacks layer1.output_gate_peephole_weights",
    ),
    "integers": (
        "lstm",
        1,
        put(embedding=np.zeros((ROWS, INPUTS), np.int32)),
        "embedding is of int32, not of float16, float32 or float64",
    ),
    "complex numbers": (
        "lstm",
        1,
        put(dense__bias=np.zeros(ROWS, np.complex64)),
        "dense.bias is of complex64, not of",
    ),
    "texts": ("lstm", 1, put(dense__bias=np.array(["a"] * ROWS)), "dense.bias is of <U1, not of"),
    "a pickle": (
        "lstm",
        1,
        put(dense__bias=np.array([object()] * ROWS)),
        "dense.bias holds Python objects, a pickle, not numbers",
    ),
    "not a number": (
        "lstm",
        1,
        set_one("layer0.kernel", float("nan")),
        "layer0.kernel[0, 1] is nan, which is no finite float32",
    ),
    "infinity": (
        "gru",
        1,
        set_one("layer0.bias", float("-inf")),
        "layer0.bias[0, 1] is -inf, which is no finite float32",
    ),
    "too large for float32": (
        "lstm",
        1,
        set_one("dense.bias", 1e39),
        "dense.bias[1] is 1e+39, which is no finite float32",
    ),
    "empty": (
        "lstm",
        1,
        put(embedding=zeros(0, INPUTS)),
        f"embedding is empty: its shape is [0, {INPUTS}]",
    ),
    "another rank": (
        "lstm",
        1,
        put(layer0__kernel=zeros(INPUTS, 4 * HIDDEN, 1)),
        "layer0.kernel has the shape [4, 20, 1], not one of 2 dimension(s)",
    ),
    "a single number": (
        "lstm",
        1,
        put(dense__bias=zeros()),
        "dense.bias has the shape [], not one of 1 dimension(s)",
    ),
    "a GRU's bias in an LSTM": (
        "lstm",
        1,
        put(layer0__bias=zeros(2, 4 * HIDDEN)),
        "layer0.bias has the shape [2, 20], not one of 1 dimension(s)",
    ),
    "a bias of three ranks": (
        "gru",
        1,
        put(layer0__bias=zeros(1, 2, 3 * HIDDEN)),
        "layer0.bias has the shape [1, 2, 15], not one of 1 or 2 dimension(s)",
    ),
    "three biases": (
        "gru",
        1,
        put(layer0__bias=zeros(3, 3 * HIDDEN)),
        (
            "layer0.bias has the shape [3, 15], not [2, 15]: "
            "dimension 0 must be 2, a bias for the input and one for the state"
        ),
    ),
    "two kinds of GRU": (
        "gru",
        2,
        put(layer1__bias=zeros(3 * HIDDEN)),
        "layer1.bias has the shape [15], not one of 2 dimension(s)",
    ),
    "another embedding": (
        "lstm",
        1,
        put(embedding=zeros(ROWS, 3)),
        (
            "layer0.kernel has the shape [4, 20], not [3, 20]: "
            "dimension 0 must be 3, the columns of embedding"
        ),
    ),
    "another number of gates": (
        "lstm",
        1,
        put(layer0__recurrent_kernel=zeros(HIDDEN, 15)),
        (
            "layer0.recurrent_kernel has the shape [5, 15], not [5, 20]: "
            "dimension 1 must be 20, 4 gate(s) of 5 units"
        ),
    ),
    "kernel and recurrent kernel disagree": (
        "simple_rnn",
        1,
        put(layer0__kernel=zeros(INPUTS, 6)),
        (
            "layer0.kernel has the shape [4, 6], not [4, 5]: "
            "dimension 1 must be 5, 1 gate(s) of 5 units"
        ),
    ),
    "a short bias": (
        "lstm",
        1,
        put(layer0__bias=zeros(19)),
        "layer0.bias has the shape [19], not [20]: dimension 0 must be 20, 4 gate(s) of 5 units",
    ),
    "a short peephole": (
        "peephole_lstm",
        1,
        put(layer0__forget_gate_peephole_weights=zeros(4)),
        (
            "layer0.forget_gate_peephole_weights has the shape [4], not [5]: "
            "dimension 0 must be 5, the rows of layer0.recurrent_kernel"
        ),
    ),
    "layers of two widths": (
        "lstm",
        2,
        put(layer1__recurrent_kernel=zeros(6, 24)),
        (
            "layer1.recurrent_kernel has the shape [6, 24], not [5, 20]: dimension 0 must be 5, "
            "the rows of layer0.recurrent_kernel (all layers are of one width)"
        ),
    ),
    "a second layer that reads the embedding": (
        "lstm",
        2,
        put(layer1__kernel=zeros(INPUTS, 20)),
        (
            "layer1.kernel has the shape [4, 20], not [5, 20]: "
            "dimension 0 must be 5, the units of layer0"
        ),
    ),
    "a head of another width": (
        "lstm",
        2,
        put(dense__kernel=zeros(6, ROWS)),
        "dense.kernel has the shape [6, 8], not [5, 8]: dimension 0 must be 5, the units of layer1",
    ),
    "a head of another vocabulary": (
        "lstm",
        1,
        put(dense__kernel=zeros(HIDDEN, ROWS + 1)),
        (
            "dense.kernel has the shape [5, 9], not [5, 8]: "
            "dimension 1 must be 8, the rows of embedding"
        ),
    ),
    "a head's bias of another vocabulary": (
        "lstm",
        1,
        put(dense__bias=zeros(ROWS - 1)),
        "dense.bias has the shape [7], not [8]: dimension 0 must be 8, the rows of embedding",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_arrays_that_make_no_model_are_refused(case: str, tmp_path: Path) -> None:
    """Each fault is told in one sentence that names the array; nothing is written."""
    keras, layers, spoil, words = SPOILED[case]
    arrays = spoil(keras_arrays("rnn_tanh" if keras == "simple_rnn" else keras, layers))

    np.savez(tmp_path / "weights.npz", **arrays)

    assert_refused(tmp_path, words, keras)


def test_what_halves_cannot_hold_is_refused(tmp_path: Path) -> None:
    """Stored as float16, a weight must be one."""
    np.savez(tmp_path / "weights.npz", **set_one("dense.bias", 7e4)(keras_arrays()))

    assert_refused(
        tmp_path, "dense.bias[1] is 70000.0, which is no finite float16", "lstm", "float16"
    )


def test_a_gated_cell_has_no_choice_of_activation(tmp_path: Path) -> None:
    """An LSTM of rectified units is no LSTM that a bundle can hold."""
    source = KerasModel(tmp_path / "weights.npz", tmp_path / "words.txt", "lstm", "relu")

    with pytest.raises(WeightsError, match="an activation of relu is for simple_rnn, not for lstm"):
        import_keras(source, tmp_path, "m", 1, Packing())


def damaged(folder: Path) -> bytes:
    """An archive with a bit turned over in the middle of its first array."""
    np.savez(folder / "good.npz", **keras_arrays())
    content = bytearray((folder / "good.npz").read_bytes())
    content[200] ^= 1
    return bytes(content)


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "is no .npz file of arrays"),
    "text": (lambda _: b"layer0.kernel = 3\n", "is no .npz file of arrays"),
    "a pickle": (lambda _: pickle.dumps([1, 2]), "is no .npz file of arrays"),
    "half an archive": (lambda f: damaged(f)[:900], "is no .npz file of arrays"),
    "a damaged archive": (damaged, "embedding cannot be read: the file is damaged"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_holds_no_arrays_is_refused(case: str, tmp_path: Path) -> None:
    """What is no .npz file, or a broken one, is told by its name."""
    content, words = FILES[case]
    (tmp_path / "weights.npz").write_bytes(content(tmp_path))

    assert_refused(tmp_path, words)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    """A file of numpy.save has no names."""
    with (tmp_path / "weights.npz").open("wb") as file:
        np.save(file, zeros(3))

    assert_refused(tmp_path, "weights.npz holds an array without a name")


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """Weights or words that are missing, or are a folder."""
    assert_refused(tmp_path, "weights.npz: No such file")
    (tmp_path / "weights.npz").mkdir()
    assert_refused(tmp_path, "weights.npz: Is a directory")
    (tmp_path / "weights.npz").rmdir()
    np.savez(tmp_path / "weights.npz", **keras_arrays())
    (tmp_path / "words.txt").unlink()
    (tmp_path / "words.txt").mkdir()
    assert_refused(tmp_path, "words.txt: Is a directory")
