"""The story of a run: corpus in, best model out, able to stop and go on at any step.

Must not know: ONNX, bundles.
"""

from __future__ import annotations

import json
import math
import time
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
from training.model import LanguageModel
from training.resume import Progress, check_same_run, restore, save_progress


def train(recipe: str, config: RunConfig, data: Path, out: Path, *, resume: bool = False) -> Path:
    """Train a model on a corpus folder and keep the best one in the run folder `out`.

    Ctrl-C ends the run cleanly, the best model kept. Raises CorpusError, RunError, DivergedError.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    corpus = load_corpus(data, config.text, config.vocabulary)
    seed = config.seed if config.vary_bptt else None
    windows = Windows(side_by_side(corpus.train, config.batch), config.bptt, seed)
    valid = validation_windows(corpus.valid, config)
    stepper = Stepper(LanguageModel(config), config, round(config.epochs * len(windows)) or 1)
    info = RunInfo(recipe, config, corpus.name, corpus.sha256)
    progress = Progress()
    if resume:
        check_same_run(out, info)
        if (out / checkpoint.LAST_FILE).exists():
            restore(out, stepper, progress)
    else:
        checkpoint.create_run(out, info, corpus.tokenizer)
    print(_describe(corpus, stepper))
    with (
        _Log(out / checkpoint.LOG_FILE, keep_until=progress.step) as log,
        _Log(out / checkpoint.SPEED_FILE, keep_until=progress.step) as speed,
    ):
        try:
            _Training(stepper, windows, valid, progress, out).run(log, speed)
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


class _Training:
    """A run under way: steps, and at even distances validates, logs, saves and may stop early."""

    def __init__(
        self, stepper: Stepper, windows: Windows, valid: Windows, progress: Progress, out: Path
    ) -> None:
        self._stepper = stepper
        self._windows = windows
        self._valid = valid
        self._progress = progress
        self._out = out
        self._every = max(1, stepper.total_steps // stepper.config.validations)
        self._first_step = progress.step
        self._started_s = time.monotonic()

    def run(self, log: _Log, speed: _Log) -> None:
        progress, total = self._progress, self._stepper.total_steps
        bar = tqdm(total=total, initial=progress.step, unit="step", dynamic_ncols=True)
        with bar:
            while progress.step < total and progress.stale < self._stepper.config.patience:
                train_loss = self._step()
                shown = f"{self._tokens_per_s():,.0f} tok/s, ppl {math.exp(train_loss):.2f}"
                bar.update()
                bar.set_postfix_str(shown, refresh=False)
                if progress.step % self._every == 0 or progress.step == total:
                    perplexity = self._validate(log, speed)
                    bar.write(f"step {progress.step}: valid perplexity {perplexity:.2f}")

    def _step(self) -> float:
        """Learn from the next window; the running mean of the training loss."""
        progress, stepper = self._progress, self._stepper
        if progress.step % len(self._windows) == 0:  # a new pass begins, and with it the text
            stepper.state = stepper.model.initial_state(stepper.config.batch)
        loss = stepper.step(progress.step, *self._windows.window(progress.step))
        before = loss if progress.train_loss is None else progress.train_loss
        progress.train_loss = 0.98 * before + 0.02 * loss
        progress.step += 1
        return progress.train_loss

    def _validate(self, log: _Log, speed: _Log) -> float:
        """Validate, log, save; the perplexity. DivergedError where it is no number."""
        progress, stepper = self._progress, self._stepper
        with stepper.average.swapped_in():
            loss = mean_loss(stepper.model, self._valid)
            if not math.isfinite(loss):
                raise DivergedError(f"the validation loss is {loss} at step {progress.step}")
            progress.stale = 0 if loss < progress.best_loss else progress.stale + 1
            progress.best_loss = min(loss, progress.best_loss)
            figures = {
                "step": progress.step,
                "valid_loss": loss,
                "valid_perplexity": math.exp(loss),
            }
            if progress.stale == 0:
                best = self._out / checkpoint.BEST_FILE
                checkpoint.save_tensors(best, stepper.model.state_dict(), figures)
        stepper.average.validated(loss)
        log.write(
            **figures,
            epoch=round(progress.step / len(self._windows), 4),
            train_loss=progress.train_loss,
            learning_rate=stepper.optimizer.param_groups[0]["lr"],
            best=progress.stale == 0,
        )
        speed.write(step=progress.step, tokens_per_s=round(self._tokens_per_s()))
        # After the log: on resume that is cut back to the checkpoint, but never filled up.
        save_progress(self._out, stepper, progress)
        return math.exp(loss)

    def _tokens_per_s(self) -> float:
        config = self._stepper.config
        steps = self._progress.step - self._first_step
        return steps * config.batch * config.bptt / (time.monotonic() - self._started_s)


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
