"""What can be typed behind `python -m training`.

Must not know: what the commands do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from training.config import CELLS, STORAGES, recipe_names
from training.keras_arrays import KERAS_CELLS

SIZES = ("layers", "embedding", "hidden", "vocabulary")
"""Of a model of random weights."""

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments by name, and as `command` what is to be done; exits where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Text in, bundle out: train, measure, export."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for add in (
        _add_train,
        _add_evaluate,
        _add_export,
        _add_import_keras,
        _add_random,
        _add_data,
        _add_study,
    ):
        add(commands)
    return parser.parse_args(arguments)


def _add_train(commands: _Commands) -> None:
    train = commands.add_parser("train", help="train a model on a corpus folder")
    train.add_argument("recipe", help=f"{', '.join(recipe_names())}, or a path to a .toml file")
    train.add_argument("--data", type=Path, required=True,
                       help="a folder of texts, a text file, or a .jsonl file")  # fmt: skip
    train.add_argument("--field", help="where the records of a .jsonl file hold their text")
    train.add_argument("--out", type=Path, required=True, help="the run folder to write")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    train.add_argument("--from", type=Path, metavar="MODEL", dest="start",
                       help="begin with a run's or a bundle's weights and tokenizer")  # fmt: skip
    train.add_argument("--resume", action="store_true", help="go on where the run was stopped")
    train.add_argument("--tensorboard", action="store_true", help="also write scalars for it")


def _add_evaluate(commands: _Commands) -> None:
    evaluate = commands.add_parser("evaluate", help="measure a run or a bundle on a text")
    evaluate.add_argument("model", type=Path, help="a run folder or a bundle folder")
    evaluate.add_argument("--data", type=Path, help="a UTF-8 text file to measure it on")
    evaluate.add_argument("--baseline", action="store_true",
                          help="compare an n-gram model of the train.txt beside it")  # fmt: skip
    evaluate.add_argument("--cache", type=_positive, default=0, metavar="WORDS",
                          help="add a cache, tuned on the valid.txt beside it")  # fmt: skip
    evaluate.add_argument("--gates", metavar="TEXT", help="show what every gate does at each word")
    evaluate.add_argument("--out", type=Path, default=Path("gates.png"), metavar="PNG",
                          help="the heat map of --gates (default: %(default)s)")  # fmt: skip
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_export(commands: _Commands) -> None:
    export = commands.add_parser("export", help="write a run's best model as a bundle")
    export.add_argument("run_folder", type=Path, metavar="RUN")
    _add_target(export)
    export.add_argument("--version", type=_positive, default=1)
    export.add_argument("--weights", choices=STORAGES, default="float32",
                        help="how weights lie in the file (default: %(default)s)")  # fmt: skip
    export.add_argument("--licence", default="", help="a sentence for the model card")
    export.add_argument("--licence-file", type=Path, help="a licence text for the model card")
    export.add_argument("--test", type=Path, help="a text whose figures go into the model card")
    export.add_argument("--baseline", action="store_true",
                        help="beside an n-gram model of the train.txt beside it")  # fmt: skip
    export.add_argument("--cache", type=_positive, metavar="WORDS", default=0,
                        help="a continuous cache, tuned on the valid.txt beside it")  # fmt: skip
    export.add_argument("--cache-by-default", action="store_true",
                        help="which sessions have unless they decline it")  # fmt: skip
    export.add_argument("--notes", type=Path, metavar="FILE.md",
                        help="Markdown for the model card: what was compared")  # fmt: skip
    export.add_argument("--single-file", action="store_true", help="add both graphs as one file")
    export.add_argument("--triton", action="store_true", help="also write Triton's config.pbtxt")


def _add_data(commands: _Commands) -> None:
    data = commands.add_parser("data", help="look at a corpus, or fetch a public one")
    doings = data.add_subparsers(required=True, metavar="WHAT", dest="what")
    report = doings.add_parser("report", help="what the tokenizer makes of a text")
    report.add_argument("place", type=Path, help="a folder of texts, a text file, a .jsonl file")
    report.add_argument("--field", help="where the records of a .jsonl file hold their text")
    report.add_argument("--text", choices=("natural", "pretokenised"), default="natural")
    fetch = doings.add_parser("fetch", help="fetch a public corpus; again to go on")
    fetch.add_argument("name", help="wikitext-2")
    fetch.add_argument("--to", type=Path, required=True, help="the corpus folder to write")
    fetch.add_argument("--from", dest="source", metavar="URL", help="another place that has it")


def _add_study(commands: _Commands) -> None:
    study = commands.add_parser("study", help="run one of the field's claims as an experiment")
    study.add_argument("name", metavar="NAME", help="speed, gradients, ..; see studies/README.md")
    study.add_argument("--out", type=Path, help="folder for table, figure and report")
    study.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; a smoke test"
    )
    study.add_argument("--seeds", type=_positive, help="how many (default: the study's own number)")
    study.add_argument("--data", type=Path, help="a corpus folder, for the studies that read one")


def _add_random(commands: _Commands) -> None:
    random = commands.add_parser("random", help="write a bundle with random weights")
    random.add_argument("--cell", choices=CELLS, required=True)
    for size in SIZES:
        random.add_argument(f"--{size}", type=_positive, required=True)
    random.add_argument("--untied", action="store_true", help="give the head its own matrix")
    random.add_argument("--seed", type=int, default=1)
    random.add_argument("--version", type=_positive, default=1)
    _add_target(random)


def _add_import_keras(commands: _Commands) -> None:
    command = commands.add_parser("import-keras", help="write a Keras model as a bundle")
    command.description = (
        "Write a Keras model (Embedding, recurrent layers, Dense softmax) as a bundle. Arrays of "
        "WEIGHTS.npz: embedding, layer0.kernel, layer0.recurrent_kernel, layer0.bias, for a "
        "peephole LSTM layer0.input_gate_peephole_weights, .forget_gate_.. and .output_gate_.., "
        "then layer1.kernel and so on, dense.kernel and dense.bias, all as Keras has them."
    )
    command.add_argument("weights_file", type=Path, metavar="WEIGHTS.npz",
                         help="written with numpy.savez")  # fmt: skip
    command.add_argument("--cell", choices=KERAS_CELLS, required=True,
                         help="whether a gru has reset_after is told by its bias")  # fmt: skip
    command.add_argument("--activation", choices=("tanh", "relu"), default="tanh",
                         help="of a simple_rnn (default: %(default)s)")  # fmt: skip
    command.add_argument(
        "--vocabulary",
        type=Path,
        required=True,
        metavar="WORDS.txt",
        help="UTF-8, a word a line: one for each row of embedding, or two fewer if rows 0 and 1 "
        "are <unk> and the line break. Else <unk>, [UNK], <UNK>, <oov> or <OOV> is the unknown "
        "token, <eos>, </s>, \\n or <newline> the line break (one that is absent is never "
        "predicted), and an empty line, <pad> or [PAD] the word <pad>",
    )
    command.add_argument("--version", type=_positive, default=1)
    command.add_argument("--weights", choices=STORAGES, default="float32",
                         help="how weights lie in the file (default: %(default)s)")  # fmt: skip
    command.add_argument("--licence", default="", help="a sentence for the model card")
    _add_target(command)


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", required=True, help="the model's name")
    command.add_argument("--to", type=Path, required=True, help="the repository folder")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value
