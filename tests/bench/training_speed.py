"""`make bench-training EXAMPLE=.. DATA=..`: training speed beside torch's own example.

The example is `word_language_model` of pytorch/examples, in a folder of yours; it is run as it is.
Both train a tied LSTM of two layers of 200 on the same corpus with the same windows, on all cores,
one after the other and several times over, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from training.config import RunConfig, load_recipe
from training.corpus import Windows, load_corpus, side_by_side
from training.loop import Stepper
from training.model import LanguageModel

SIZES = ((20, 35), (64, 70))
"""Streams and tokens of a window: the example's own, and those of the recipe."""
_STEPS = 5
_REPORTS = 2
_ROUNDS = 2


def main() -> None:
    """Print tokens a second of the example and of nextword."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", type=Path, help="folder with the example's main.py")
    parser.add_argument("data", type=Path, help="folder with train.txt, valid.txt, test.txt")
    options = parser.parse_args()
    corpus = load_corpus(options.data, "pretokenised", load_recipe("wikitext2-small").vocabulary)
    print(f"{torch.get_num_threads()} threads; tokens a second, the median of {_ROUNDS} rounds")
    for batch, bptt in SIZES:
        plain = [f"batch={batch}", f"bptt={bptt}", "vary_bptt=false"]
        recipes = {
            "nextword": load_recipe("wikitext2-small", plain),
            "nextword in float32": load_recipe("wikitext2-small", [*plain, "precision=float32"]),
            "nextword, whole softmax": load_recipe(
                "wikitext2-small", [*plain, "softmax_samples=0"]
            ),
        }
        speeds: dict[str, list[float]] = {"the example": [], **{name: [] for name in recipes}}
        for _ in range(_ROUNDS):
            speeds["the example"].append(example_speed(options.example, options.data, batch, bptt))
            for name, config in recipes.items():
                speeds[name].append(own_speed(config, corpus.train))
        base = median(speeds["the example"])
        print(f"\n{batch} streams, windows of {bptt}")
        for name, found in speeds.items():
            print(f"  {name:<26} {median(found):>8,.0f}  {median(found) / base:5.2f}x")


def example_speed(folder: Path, data: Path, batch: int, bptt: int) -> float:
    """Tokens a second by the example's own reports, the first of which is left out."""
    sizes = f"--batch_size {batch} --bptt {bptt} --emsize 200 --nhid 200 --nlayers 2 --tied".split()
    command = [sys.executable, "-u", "main.py", "--data", str(data.resolve()), *sizes]
    command += ["--log-interval", str(_STEPS)]
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        command, cwd=folder, env=threads, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found: list[float] = []
        for line in process.stdout:
            if report := re.search(r"ms/batch +([\d.]+)", line):
                found.append(float(report[1]))
            if len(found) > _REPORTS:
                break
        process.kill()
    if not found:
        raise SystemExit(f"{folder} reported no speed")
    return 1000 * batch * bptt / median(found[1:])


def own_speed(config: RunConfig, train_ids: torch.Tensor) -> float:
    """Tokens a second of whole training steps, the first of which are left out."""
    torch.manual_seed(config.seed)
    windows = Windows(side_by_side(train_ids, config.batch), config.bptt)
    stepper = Stepper(LanguageModel(config), config, total_steps=1000)
    times_s = []
    for index in range(_STEPS * (_REPORTS + 1)):
        started_s = time.perf_counter()
        stepper.step(index, *windows[index])
        times_s.append(time.perf_counter() - started_s)
    return config.batch * config.bptt / median(times_s[_STEPS:])


if __name__ == "__main__":
    main()
