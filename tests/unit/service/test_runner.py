"""The guards before and behind onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.bundle import Bundle, load
from service.engine import runner as runner_module
from service.engine.runner import Memory, Reading, Runner, session_options
from service.errors import ModelFaultError, StartError
from training.config import ModelConfig
from training.random_bundle import write_random_bundle


def read_one(runner: Runner, ids: list[int]) -> Memory:
    """Read one row from the beginning."""
    [reading] = runner.read([ids], [runner.initial_state()])
    assert isinstance(reading, Reading)
    return reading.memory


@pytest.mark.parametrize("rows", [[], [[]], [[1], []]])
def test_nothing_to_read_is_refused(runner: Runner, rows: list[list[int]]) -> None:
    """The kernels abort the process on an empty batch or row; they never see one."""
    with pytest.raises(ModelFaultError, match="must hold something"):
        runner.read(rows, [runner.initial_state() for _ in rows])


@pytest.mark.parametrize("token_id", [-1, 34, 2**40])
def test_ids_outside_the_vocabulary_are_refused(runner: Runner, token_id: int) -> None:
    """Gather would take a negative one without a word."""
    with pytest.raises(ModelFaultError, match="outside the vocabulary"):
        runner.read([[1, token_id]], [runner.initial_state()])


def test_a_poisoned_state_fails_its_own_row_only(runner: Runner) -> None:
    """The row with a NaN gets an error; its neighbour gets what it would have got alone."""
    poisoned = tuple(np.full_like(part, np.nan) for part in runner.initial_state())
    bad, good = runner.read([[3], [3]], [poisoned, runner.initial_state()])
    assert isinstance(bad, ModelFaultError)
    assert isinstance(good, Reading)
    assert np.array_equal(read_one(runner, [3]).hidden, good.memory.hidden)


def test_scores_need_a_row_and_a_number(runner: Runner) -> None:
    """An empty batch and a hidden of NaN are refused."""
    with pytest.raises(ModelFaultError, match="must hold something"):
        runner.score([], 3)
    with pytest.raises(ModelFaultError, match="no numbers"):
        runner.score([np.full(16, np.nan, np.float32)], 3)


def test_k_may_exceed_the_vocabulary(runner: Runner) -> None:
    """Then all tokens are ranked."""
    memory = read_one(runner, [3])
    assert (1, 34) == runner.score([memory.hidden], 1000).top_ids_NK.shape


def test_results_do_not_share_memory_with_the_batch(runner: Runner) -> None:
    """A session keeps its own row, not the whole batch it was in."""
    readings = runner.read([[3], [4]], [runner.initial_state()] * 2)
    assert all(isinstance(r, Reading) and r.memory.hidden.base is None for r in readings)


def test_cuda_without_a_gpu_is_a_clear_error(bundle: Bundle) -> None:
    """There is no silent fallback to the CPU."""
    with pytest.raises(StartError, match=r"NEXTWORD_PROVIDER=cuda needs .*nextword\[gpu\]"):
        Runner(bundle, "cuda", 1)


@pytest.mark.parametrize(("provider", "refused"), [("cpu", False), ("cuda", True)])
def test_no_node_may_fall_back_from_a_gpu(provider: str, *, refused: bool) -> None:
    """onnxruntime is told to refuse a graph of which a part would run on the CPU."""
    key = "session.disable_cpu_ep_fallback"
    options = session_options(provider, 1)

    if refused:
        assert "1" == options.get_session_config_entry(key)
    else:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry(key)


@pytest.mark.parametrize(
    ("cell", "operator"), [("rnn_tanh", "Scan"), ("lstm", "LSTM"), ("peephole_lstm", "LSTM")]
)
def test_the_graph_is_one_whose_answers_do_not_depend_on_the_batch(
    cell: str, operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain RNNs run decomposed even on the CPU; the gated cells' fused operators are kept."""
    config = ModelConfig(cell=cell, embedding=4, hidden=6, vocabulary=9)
    written = load(write_random_bundle(config, 1, "m", 1, tmp_path))
    opened: list[bytes] = []
    monkeypatch.setattr(runner_module, "_open", lambda graph, *_: opened.append(graph))

    Runner(written, "cpu", 1)

    operators = {node.op_type for node in onnx.load_model_from_string(opened[0]).graph.node}
    assert operator in operators
