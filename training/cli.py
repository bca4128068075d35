"""The training command line: `python -m training COMMAND`.

Turns arguments into calls and errors into one sentence and exit status 2.
Must not know: how anything is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from models.errors import BundleError
from training.config import CELLS, check_model_config, load_recipe, recipe_names
from training.errors import ConfigError, TrainingError
from training.keras_arrays import KERAS_CELLS

_SIZES = ("layers", "embedding", "hidden", "vocabulary")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:  # before or after the part that ends in order
        print("interrupted", file=sys.stderr)
        return 130
    except (TrainingError, BundleError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a model on a corpus folder")
    train.add_argument("recipe", help=f"{', '.join(recipe_names())}, or a path to a .toml file")
    train.add_argument("--data", type=Path, required=True,
                       help="a folder of texts, a text file, or a .jsonl file")  # fmt: skip
    train.add_argument("--field", help="where the records of a .jsonl file hold their text")
    train.add_argument("--out", type=Path, required=True, help="the run folder to write")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    train.add_argument("--resume", action="store_true", help="go on where the run was stopped")
    train.set_defaults(run=_train)

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
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="write a run's best model as a bundle")
    export.add_argument("run_folder", type=Path, metavar="RUN")
    _add_target(export)
    export.add_argument("--version", type=_positive, default=1)
    export.add_argument("--weights", choices=("float32", "float16"), default="float32",
                        help="how weights lie in the file (default: %(default)s)")  # fmt: skip
    export.add_argument("--licence", default="", help="a sentence for the model card")
    export.add_argument("--licence-file", type=Path, help="a licence text for the model card")
    export.add_argument("--test", type=Path, help="a text whose figures go into the model card")
    export.add_argument("--single-file", action="store_true", help="add both graphs as one file")
    export.add_argument("--triton", action="store_true", help="also write Triton's config.pbtxt")
    export.set_defaults(run=_export)

    data = commands.add_parser("data", help="look at a corpus, or fetch a public one")
    doings = data.add_subparsers(required=True, metavar="WHAT")
    report = doings.add_parser("report", help="what the tokenizer makes of a text")
    report.add_argument("place", type=Path, help="a folder of texts, a text file, a .jsonl file")
    report.add_argument("--field", help="where the records of a .jsonl file hold their text")
    report.add_argument("--text", choices=("natural", "pretokenised"), default="natural")
    report.set_defaults(run=_report_data)
    fetch = doings.add_parser("fetch", help="fetch a public corpus; again to go on")
    fetch.add_argument("name", help="wikitext-2")
    fetch.add_argument("--to", type=Path, required=True, help="the corpus folder to write")
    fetch.add_argument("--from", dest="source", metavar="URL", help="another place that has it")
    fetch.set_defaults(run=_fetch_data)

    study = commands.add_parser("study", help="run one of the field's claims as an experiment")
    study.add_argument("name", metavar="NAME", help="speed, gradients, ..; see studies/README.md")
    study.add_argument("--out", type=Path, help="folder for table, figure and report")
    study.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; a smoke test"
    )
    study.add_argument("--seeds", type=_positive, help="how many (default: the study's own number)")
    study.add_argument("--data", type=Path, help="a corpus folder, for the studies that read one")
    study.set_defaults(run=_study)

    _add_import_keras(commands.add_parser("import-keras", help="write a Keras model as a bundle"))

    random = commands.add_parser("random", help="write a bundle with random weights")
    random.add_argument("--cell", choices=CELLS, required=True)
    for size in _SIZES:
        random.add_argument(f"--{size}", type=_positive, required=True)
    random.add_argument("--untied", action="store_true", help="give the head its own matrix")
    random.add_argument("--seed", type=int, default=1)
    random.add_argument("--version", type=_positive, default=1)
    _add_target(random)
    random.set_defaults(run=_random)
    return parser


def _add_import_keras(command: argparse.ArgumentParser) -> None:
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
    command.add_argument("--weights", choices=("float32", "float16"), default="float32",
                         help="how weights lie in the file (default: %(default)s)")  # fmt: skip
    command.add_argument("--licence", default="", help="a sentence for the model card")
    _add_target(command)
    command.set_defaults(run=_import_keras)


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", required=True, help="the model's name")
    command.add_argument("--to", type=Path, required=True, help="the repository folder")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _train(parsed: argparse.Namespace) -> None:
    from training.train import train

    config = load_recipe(parsed.recipe, parsed.overrides)
    recipe = Path(parsed.recipe).stem
    train(recipe, config, parsed.data, parsed.out, resume=parsed.resume, field=parsed.field)


def _evaluate(parsed: argparse.Namespace) -> None:
    if parsed.data is None and parsed.gates is None:
        raise ConfigError("evaluate needs --data FILE, or --gates TEXT")
    if parsed.data is not None:
        _measure(parsed)
    if parsed.gates is not None:
        _show_gates(parsed)


def _show_gates(parsed: argparse.Namespace) -> None:
    from models.gates import trace_gates
    from training.export import as_bundle
    from training.heatmap import draw_gates, gate_table

    trace = trace_gates(as_bundle(parsed.model), parsed.gates)
    print(gate_table(trace))
    draw_gates(trace, parsed.out)
    print(f"wrote {parsed.out}")


def _measure(parsed: argparse.Namespace) -> None:
    from training.comparison import Wanted, compare, open_subject

    wanted = Wanted(baseline=parsed.baseline, cache_size=parsed.cache)
    result = compare(open_subject(parsed.model), parsed.data, wanted)
    print(json.dumps(result.as_json(), indent=1) if parsed.json else result.table())


def _report_data(parsed: argparse.Namespace) -> None:
    from training.survey import survey
    from training.texts import find_texts

    print(survey(find_texts(parsed.place, parsed.field), parsed.text).report())


def _fetch_data(parsed: argparse.Namespace) -> None:
    from training.fetch import fetch, find_dataset

    dataset = find_dataset(parsed.name)
    fetch(dataset, parsed.to, parsed.source)
    print(f"{parsed.name} is in {parsed.to} ({dataset.licence})")


def _export(parsed: argparse.Namespace) -> None:
    from training.export import Packing, export_run

    packing = Packing(
        storage=parsed.weights,
        licence=parsed.licence,
        licence_text="" if parsed.licence_file is None else _read_text(parsed.licence_file),
        test_text=None if parsed.test is None else _read_text(parsed.test),
        single_file=parsed.single_file,
        triton=parsed.triton,
    )
    folder = export_run(parsed.run_folder, parsed.to, parsed.name, parsed.version, packing)
    print(f"wrote {folder}")


def _read_text(path: Path) -> str:
    from training.texts import read_lines

    return "\n".join(read_lines(path)) + "\n"


def _random(parsed: argparse.Namespace) -> None:
    from training.random_bundle import write_random_bundle

    sizes = {key: getattr(parsed, key) for key in ("cell", *_SIZES)}
    config = check_model_config({**sizes, "tied": not parsed.untied})
    folder = write_random_bundle(config, parsed.seed, parsed.name, parsed.version, parsed.to)
    print(f"wrote {folder}")


def _import_keras(parsed: argparse.Namespace) -> None:
    from training.export import Packing
    from training.import_keras import KerasModel, import_keras

    source = KerasModel(parsed.weights_file, parsed.vocabulary, parsed.cell, parsed.activation)
    packing = Packing(storage=parsed.weights, licence=parsed.licence)
    folder = import_keras(source, parsed.to, parsed.name, parsed.version, packing)
    print(f"wrote {folder}")


def _study(parsed: argparse.Namespace) -> None:
    from training.studies.study import Options, find_study, run_study

    options = Options(quick=parsed.quick, seeds=parsed.seeds, data=parsed.data)
    print(run_study(find_study(parsed.name), options, parsed.out))
