"""The story of a run: corpus in, best model out, able to stop and go on at any step.

Must not know: ONNX, bundles.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from tqdm import tqdm

from training import checkpoint
from training.checkpoint import RunInfo
from training.config import RunConfig
from training.corpus import Corpus, Ids, Windows, load_corpus, side_by_side
from training.errors import DivergedError, RunError
from training.loop import Stepper, mean_loss
from training.model import LanguageModel, flatten


@dataclass
class Progress:
    """Where a run stands; all of it is in the checkpoint."""

    step: int = 0
    best_loss: float = math.inf
    stale: int = 0
    """Validations since the best one."""
    train_loss: float | None = None
    """Running mean of the windows' loss."""


def train(recipe: str, config: RunConfig, data: Path, out: Path, *, resume: bool = False) -> Path:
    """Train a model on a corpus folder and keep the best one in the run folder `out`.

    Ctrl-C ends the run cleanly, the best model kept. Raises CorpusError, RunError, DivergedError.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    corpus = load_corpus(data, config.text, config.vocabulary)
    windows = Windows(side_by_side(corpus.train, config.batch), config.bptt)
    valid = validation_windows(corpus.valid, config)
    stepper = Stepper(LanguageModel(config), config, round(config.epochs * len(windows)) or 1)
    info = RunInfo(recipe, config, corpus.name, corpus.sha256)
    progress = Progress()
    if resume:
        _check_same_run(out, info)
        if (out / checkpoint.LAST_FILE).exists():
            _restore(out, stepper, progress)
    else:
        checkpoint.create_run(out, info, corpus.tokenizer)
    print(_describe(corpus, stepper))
    with _Log(out / checkpoint.LOG_FILE, keep_until=progress.step) as log:
        try:
            _run(stepper, windows, valid, progress, out, log)
        except KeyboardInterrupt:
            print(f"\nstopped at step {progress.step}")
    if math.isinf(progress.best_loss):
        raise RunError("stopped before the first validation: nothing was saved")
    print(f"best: valid perplexity {math.exp(progress.best_loss):.2f}, in {out}")
    return out


def validation_windows(ids: Ids, config: RunConfig) -> Windows:
    """Windows over a validation text: as many streams as give each some length."""
    batch = max(1, min(config.batch, len(ids) // (4 * config.bptt)))
    return Windows(side_by_side(ids, batch), config.bptt)


def _run(
    stepper: Stepper, windows: Windows, valid: Windows, progress: Progress, out: Path, log: _Log
) -> None:
    """Step, and at even distances validate, save and perhaps stop early."""
    config = stepper.config
    every = max(1, stepper.total_steps // config.validations)
    tokens_a_step = config.batch * config.bptt
    started, first = time.monotonic(), progress.step
    bar = tqdm(total=stepper.total_steps, initial=first, unit="step", dynamic_ncols=True)
    with bar:
        while progress.step < stepper.total_steps and progress.stale < config.patience:
            position = progress.step % len(windows)
            if position == 0:
                stepper.state = stepper.model.initial_state(config.batch)
            loss = stepper.step(progress.step, *windows[position])
            progress.step += 1
            before = loss if progress.train_loss is None else progress.train_loss
            progress.train_loss = smooth = 0.98 * before + 0.02 * loss
            speed = (progress.step - first) * tokens_a_step / (time.monotonic() - started)
            bar.update()
            bar.set_postfix_str(f"{speed:,.0f} tok/s, ppl {math.exp(smooth):.2f}", refresh=False)
            if progress.step % every == 0 or progress.step == stepper.total_steps:
                valid_loss = mean_loss(stepper.model, valid)
                _judge(out, stepper, progress, valid_loss)
                log.write(
                    step=progress.step,
                    epoch=round(progress.step / len(windows), 4),
                    train_loss=smooth,
                    valid_loss=valid_loss,
                    valid_perplexity=math.exp(valid_loss),
                    learning_rate=stepper.optimizer.param_groups[0]["lr"],
                    best=progress.stale == 0,
                    tokens_per_s=round(speed),
                )
                # The log first: on resume it is cut back to the checkpoint, never filled up.
                checkpoint.save_tensors(
                    out / checkpoint.LAST_FILE, _resumable_tensors(stepper), vars(progress)
                )
                bar.write(f"step {progress.step}: valid perplexity {math.exp(valid_loss):.2f}")


def _judge(out: Path, stepper: Stepper, progress: Progress, valid_loss: float) -> None:
    """Take note of a validation, and save the weights if they are the best yet."""
    if not math.isfinite(valid_loss):
        raise DivergedError(f"the validation loss is {valid_loss} at step {progress.step}")
    progress.stale = 0 if valid_loss < progress.best_loss else progress.stale + 1
    progress.best_loss = min(valid_loss, progress.best_loss)
    if progress.stale == 0:
        metrics = {
            "step": progress.step,
            "valid_loss": valid_loss,
            "valid_perplexity": math.exp(valid_loss),
        }
        weights = stepper.model.state_dict()
        checkpoint.save_tensors(out / checkpoint.BEST_FILE, weights, metrics)


def _resumable_tensors(stepper: Stepper) -> dict[str, torch.Tensor]:
    """Everything a resumed run needs to go on bit for bit: weights, optimiser, state, chance."""
    tensors = {f"model.{name}": t for name, t in stepper.model.state_dict().items()}
    for index, slots in stepper.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{slot}": t for slot, t in slots.items() if t is not None}
    tensors |= {f"state.{i}": t.clone() for i, t in enumerate(flatten(stepper.state))}
    return tensors | {"random": torch.get_rng_state()}


def _restore(out: Path, stepper: Stepper, progress: Progress) -> None:
    """Put a run back to where its last checkpoint was written."""
    tensors, saved = checkpoint.read_tensors(out / checkpoint.LAST_FILE)
    under = _by_prefix(tensors)
    stepper.model.load_state_dict(under["model"])
    optimizer = stepper.optimizer.state_dict()
    optimizer["state"] = {}
    for name, tensor in under.get("optimizer", {}).items():
        index, slot = name.split(".")
        optimizer["state"].setdefault(int(index), {})[slot] = tensor
    stepper.optimizer.load_state_dict(optimizer)
    carried = iter(under["state"][str(i)] for i in range(len(under["state"])))
    stepper.state = tuple(tuple(next(carried) for _ in layer) for layer in stepper.state)
    torch.set_rng_state(tensors["random"])
    vars(progress).update(saved)


def _by_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    grouped: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        grouped.setdefault(prefix, {})[rest] = tensor
    return grouped


def _check_same_run(out: Path, info: RunInfo) -> None:
    """A run goes on only with the recipe and the corpus it began with."""
    before = checkpoint.read_info(out)
    if before.corpus_sha256 != info.corpus_sha256:
        raise RunError(f"{out} was trained on another train.txt than this one")
    for key, value in info.config.model_dump().items():
        old = getattr(before.config, key)
        if old != value:
            raise RunError(f"{out} was begun with {key} = {old!r}, not {value!r}")


def _describe(corpus: Corpus, stepper: Stepper) -> str:
    model = stepper.model
    config = stepper.config
    return (
        f"{corpus.name}: {len(corpus.train):,} tokens to train on, {len(corpus.valid):,} to "
        f"validate; {config.cell}, {model.parameter_count():,} weights, "
        f"{str(stepper.dtype).removeprefix('torch.')} products"
    )


def _step_of(line: str) -> float:
    """The step of a log line; infinite where a power cut left only half of it."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class _Log:
    """The run's JSONL log: a line a validation, cut back to the checkpoint on resume."""

    def __init__(self, path: Path, keep_until: int) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= keep_until]
        checkpoint.write_whole(path, "".join(f"{line}\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def write(self, **values: Any) -> None:
        """Append one line and hand it to the operating system at once."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
