"""Every gate, calculated from the bundle alone, is what the model itself does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models import bundle
from models.bundle import Bundle
from models.errors import GateError, GraphError
from models.gates import trace_gates
from tests.contract.readers import Make, Reader
from tests.unit.training.support import run_config, write_corpus
from training.checkpoint import load_run
from training.cli import main
from training.config import CELLS, Cell
from training.export import as_bundle
from training.train import train

TEXT = "w3 w100 w0 w7 w7 w55 nowhere w2"


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_states_are_those_of_the_runtime(make: Make, cell: Cell, normalization: str) -> None:
    """Token by token, h and c of every layer are what onnxruntime carries."""
    written = make(cell, layers=2, normalization=normalization)
    trace = trace_gates(written, TEXT)
    reader, state = Reader(written), None

    for t, token_id in enumerate(written.tokenizer.encode(TEXT)):
        (read,) = reader.read([np.array([token_id])], state and [state])
        state = read.state
        ours = [part[t] for layer in trace.states for part in layer]
        for wanted, found in zip(state, ours, strict=True):
            # normalising c divides by its spread, and with it the last bits' differences
            tolerance = 1e-6 if normalization == "none" else 5e-6
            np.testing.assert_allclose(found, wanted, atol=tolerance)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("lstm", ["input", "forget", "cell", "output"]),
        ("cifg_peephole_lstm", ["input", "cell", "output", "forget"]),
        ("gru", ["reset", "update", "candidate"]),
        ("rnn_relu", ["hidden"]),
    ],
)
def test_every_gate_has_its_name(make: Make, cell: Cell, names: list[str]) -> None:
    """[T, H] for each gate under its full name; gates that open and close are within 0 and 1."""
    trace = trace_gates(make(cell), TEXT)

    assert names == list(trace.layers[0])
    for gate, values_TH in trace.layers[0].items():
        assert (8, 40) == values_TH.shape
        if gate not in ("cell", "candidate", "hidden"):
            assert 0 < values_TH.min() < values_TH.max() < 1
    assert tuple(TEXT.split()) == trace.words


@pytest.mark.parametrize("cell", [cell for cell in CELLS if "lstm" in cell])
def test_the_gates_make_the_memory(make: Make, cell: Cell) -> None:
    """In an LSTM, c is forget * c + input * cell, and h is output * tanh(c)."""
    trace = trace_gates(make(cell), TEXT)
    gates, (h_TH, c_TH) = trace.layers[0], trace.states[0]

    before = np.concatenate([np.zeros_like(c_TH[:1]), c_TH[:-1]])

    np.testing.assert_allclose(
        gates["forget"] * before + gates["input"] * gates["cell"], c_TH, atol=1e-6
    )
    np.testing.assert_allclose(gates["output"] * np.tanh(c_TH), h_TH, atol=1e-6)


def test_the_gates_are_those_of_the_trained_model(tmp_path: Path) -> None:
    """A trained run's gates are what its torch weights give, by the equations in torch."""
    run_folder = train("r", run_config(cell="lstm"), write_corpus(tmp_path / "d"), tmp_path / "r")
    run = load_run(run_folder)
    trace = trace_gates(as_bundle(run_folder), "the dog ran")
    layer = run.model.layers[0]
    h = c = torch.zeros(1, 12)
    for t, token_id in enumerate(run.tokenizer.encode("the dog ran")):
        sums = run.model.embedding[token_id] @ layer.weight_ih.T + layer.bias_ih
        i, f, g, o = (sums + h @ layer.weight_hh.T + layer.bias_hh).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        wanted = {"input": i.sigmoid(), "forget": f.sigmoid(), "cell": g.tanh()}
        for gate, value in (wanted | {"output": o.sigmoid()}).items():
            np.testing.assert_allclose(trace.layers[0][gate][t], value[0].detach(), atol=1e-6)


def test_half_precision_weights_are_read_too(shipped: Bundle) -> None:
    """The shipped model stores float16; its gates are calculated from just those weights."""
    trace = trace_gates(shipped, "I would love to")
    reader = Reader(shipped)
    (read,) = reader.read([np.array(shipped.tokenizer.encode("I would love to"))])

    np.testing.assert_allclose(trace.states[0][0][-1], read.state[0], atol=1e-6)


@pytest.mark.parametrize("cell", ["peephole_lstm", "gru"])
def test_weights_stored_as_bytes_are_read_too(make: Make, cell: str) -> None:
    """Bytes and scales are multiplied, a shared embedding's among them."""
    written = make(cell, "int8", layers=2)
    trace = trace_gates(written, "w3 w1 w4 w1")
    (read,) = Reader(written).read([np.array(written.tokenizer.encode("w3 w1 w4 w1"))])

    np.testing.assert_allclose(trace.states[0][0][-1], read.state[0], atol=1e-6)


@pytest.fixture
def shipped() -> Bundle:
    """The newest shipped model."""
    root = Path("models/repository/keyboard-en")
    return bundle.load(max(root.iterdir(), key=lambda folder: int(folder.name)))


def test_an_empty_text_is_refused(make: Make) -> None:
    """There is nothing to show."""
    with pytest.raises(GateError, match="no token"):
        trace_gates(make("gru"), "")


def test_a_foreign_graph_is_refused(make: Make) -> None:
    """A graph whose weights have other names says so, instead of showing something."""
    written = make("gru")
    model = onnx.load_model_from_string(written.files["recurrent.onnx"])
    for tensor in model.graph.initializer:
        tensor.name = f"other_{tensor.name}"
    files = {**written.files, "recurrent.onnx": model.SerializeToString()}
    foreign = Bundle(written.manifest, written.tokenizer, written.sha256, files)

    with pytest.raises(GraphError, match="no weights 'embedding'"):
        trace_gates(foreign, "w3")


def test_the_command_draws_a_heat_map(make: Make, tmp_path: Path, capsys) -> None:
    """`evaluate BUNDLE --gates TEXT` prints means and writes a PNG."""
    from training.config import ModelConfig
    from training.random_bundle import write_random_bundle

    config = ModelConfig(cell="cifg_lstm", embedding=4, hidden=6, vocabulary=12)
    folder = write_random_bundle(config, 1, "m", 1, tmp_path)
    picture = tmp_path / "gates.png"

    assert 0 == main(["evaluate", str(folder), "--gates", "w1 w2", "--out", str(picture)])

    said = capsys.readouterr().out
    assert "forget" in said
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_needs_something_to_do(make: Make, tmp_path: Path, capsys) -> None:
    """Without --data and without --gates there is an error, not silence."""
    assert 2 == main(["evaluate", str(tmp_path)])
    assert "--data FILE, or --gates TEXT" in capsys.readouterr().err
