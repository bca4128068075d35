"""The story of a run: corpus in, best model out, able to stop and go on at any step.

Must not know: ONNX, bundles.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from training import checkpoint
from training.compiler import check_compiler
from training.config import RunConfig
from training.corpus import (
    Corpus,
    Windows,
)
from training.devices import choose_device, prepare
from training.distributed import Ranks, joined, local_rank
from training.errors import DivergedError, RunError
from training.intake import take_in, validation_windows
from training.logs import BOARD_FOLDER, Board, Log, check_board
from training.loop import Stepper, mean_loss
from training.model import LanguageModel
from training.report import write_report
from training.resume import Progress, restore, save_progress
from training.start import Start, open_start


def train(
    recipe: str,
    config: RunConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    field: str | None = None,
    tensorboard: bool = False,
) -> Path:
    """Train a model on a corpus and keep the best one in the run folder `out`.

    `start` is the folder of a run or a bundle, with whose weights and tokenizer this one begins;
    `field` names where the records of a JSONL corpus hold their text; with `tensorboard`, scalars
    are written for it.

    Ctrl-C ends the run cleanly, the best model kept. Raises ConfigError or MissingError where this
    machine has not what is asked for, CorpusError, RunError, DivergedError.
    """
    device = choose_device(config.device, local_rank=local_rank())
    if config.compile:
        check_compiler(device)
    if tensorboard:
        check_board()
    prepare(device)
    begin = None if start is None else open_start(start, config)
    with joined(device) as ranks:
        corpus, windows = take_in(
            recipe, config, data, out, ranks, begin, resume=resume, field=field
        )
        return _train(
            recipe,
            config,
            corpus,
            windows,
            out,
            ranks,
            begin,
            resume=resume,
            tensorboard=tensorboard,
        )


def _train(
    recipe: str,
    config: RunConfig,
    corpus: Corpus,
    windows: Windows,
    out: Path,
    ranks: Ranks,
    begin: Start | None,
    *,
    resume: bool,
    tensorboard: bool,
) -> Path:
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    model = LanguageModel(config).to(ranks.device)
    if begin is not None:
        model.load_state_dict(begin.weights)
    if not ranks.first:  # one start for all weights, and chances of one's own from there on
        torch.manual_seed(config.seed + ranks.rank)
    valid = validation_windows(corpus.valid, config, ranks)
    stepper = Stepper(model, config, round(config.epochs * len(windows)) or 1, ranks)
    progress = Progress()
    if resume and (out / checkpoint.LAST_FILE).exists():
        restore(out, stepper, progress)
    if ranks.first:
        print(_describe(corpus, stepper))
    folder = out if ranks.first else None  # only the first process writes logs
    with (
        Log(folder and folder / checkpoint.LOG_FILE, progress.step) as log,
        Log(folder and folder / checkpoint.SPEED_FILE, progress.step) as speed,
        Board(folder / BOARD_FOLDER if folder and tensorboard else None, progress.step) as board,
    ):
        try:
            _Training(stepper, windows, valid, progress, out).run(log, speed, board)
        except KeyboardInterrupt:
            print(f"\nstopped at step {progress.step}")
    if math.isinf(progress.best_loss):
        raise RunError("stopped before the first validation: nothing was saved")
    if ranks.first:
        write_report(out, recipe, config.model_dump())
        print(f"best: valid perplexity {math.exp(progress.best_loss):.2f}, in {out}")
    return out


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

    def run(self, log: Log, speed: Log, board: Board) -> None:
        progress, total = self._progress, self._stepper.total_steps
        bar = tqdm(
            total=total,
            initial=progress.step,
            unit="step",
            dynamic_ncols=True,
            disable=not self._stepper.ranks.first,
        )
        with bar:
            while progress.step < total and progress.stale < self._stepper.config.patience:
                train_loss = self._step()
                board.write(progress.step, self._curves())
                shown = f"{self._tokens_per_s():,.0f} tok/s, ppl {math.exp(train_loss):.2f}"
                bar.update()
                bar.set_postfix_str(shown, refresh=False)
                if progress.step % self._every == 0 or progress.step == total:
                    perplexity = self._validate(log, speed, board)
                    if self._stepper.ranks.first:
                        bar.write(f"step {progress.step}: valid perplexity {perplexity:.2f}")

    def _step(self) -> float:
        """Learn from the next window; the running mean of the training loss."""
        progress, stepper = self._progress, self._stepper
        if progress.step % len(self._windows) == 0:  # a new pass begins, and with it the text
            stepper.state = stepper.model.initial_state(len(stepper.state[0][0]))
        loss = stepper.step(progress.step, *self._windows.window(progress.step))
        before = loss if progress.train_loss is None else progress.train_loss
        progress.train_loss = 0.98 * before + 0.02 * loss
        progress.step += 1
        return progress.train_loss

    def _validate(self, log: Log, speed: Log, board: Board) -> float:
        """Validate, log, save; the perplexity. DivergedError where it is no number."""
        progress, stepper = self._progress, self._stepper
        with stepper.average.swapped_in():
            loss = mean_loss(stepper.model, self._valid, stepper.ranks)
            if not math.isfinite(loss):
                raise DivergedError(f"the validation loss is {loss} at step {progress.step}")
            progress.stale = 0 if loss < progress.best_loss else progress.stale + 1
            progress.best_loss = min(loss, progress.best_loss)
            figures = {
                "step": progress.step,
                "valid_loss": loss,
                "valid_perplexity": math.exp(loss),
            }
            if progress.stale == 0 and stepper.ranks.first:
                best = self._out / checkpoint.BEST_FILE
                checkpoint.save_tensors(best, stepper.model.state_dict(), figures)
        stepper.average.validated(loss)
        log.write(
            **figures,
            epoch=round(progress.step / len(self._windows), 4),
            train_loss=progress.train_loss,
            learning_rate=stepper.learning_rate,
            best=progress.stale == 0,
        )
        speed.write(step=progress.step, tokens_per_s=round(self._tokens_per_s()))
        board.write(progress.step, {"validation/perplexity": math.exp(loss)})
        board.flush()
        # After the logs: on resume they are cut back to the checkpoint, but never filled up.
        save_progress(self._out, stepper, progress)
        return math.exp(loss)

    def _curves(self) -> dict[str, float]:
        """What TensorBoard shows of every step."""
        assert self._progress.train_loss is not None
        return {
            "training/loss": self._progress.train_loss,
            "training/learning_rate": self._stepper.learning_rate,
            "training/tokens_per_s": self._tokens_per_s(),
        }

    def _tokens_per_s(self) -> float:
        config = self._stepper.config
        steps = self._progress.step - self._first_step
        return (
            steps
            * (config.batch + config.openings)
            * config.bptt
            / (time.monotonic() - self._started_s)
        )


def _describe(corpus: Corpus, stepper: Stepper) -> str:
    model = stepper.model
    config = stepper.config
    return (
        f"{corpus.name}: {len(corpus.train):,} tokens to train on, {len(corpus.valid):,} to "
        f"validate; {config.cell}, {model.parameter_count():,} weights, "
        f"{str(stepper.dtype).removeprefix('torch.')} products{_on(model.device)}"
    )


def _on(device: torch.device) -> str:
    return f" on {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
