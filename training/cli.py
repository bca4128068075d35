"""The training command line: `python -m training COMMAND`.

Turns arguments into calls and errors into one sentence and exit status 2.
Must not know: how anything is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import BundleError
from training.arguments import SIZES, parse
from training.config import check_model_config, load_recipe
from training.errors import ConfigError, TrainingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = parse(arguments)
    try:
        _COMMANDS[parsed.command](parsed)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:  # before or after the part that ends in order
        print("interrupted", file=sys.stderr)
        return 130
    except (TrainingError, BundleError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _train(parsed: argparse.Namespace) -> None:
    from training.train import train

    config = load_recipe(parsed.recipe, parsed.overrides)
    recipe = Path(parsed.recipe).stem
    train(
        recipe,
        config,
        parsed.data,
        parsed.out,
        resume=parsed.resume,
        start=parsed.start,
        field=parsed.field,
        tensorboard=parsed.tensorboard,
    )


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
    from training.comparison import Wanted, check_texts
    from training.export import Packing, export_run

    if parsed.test is not None:
        check_texts(parsed.test, Wanted(parsed.baseline, parsed.cache))
    elif parsed.baseline:
        raise ConfigError("export --baseline needs --test FILE, and the train.txt beside it")
    elif parsed.cache:
        raise ConfigError("export --cache needs --test FILE, and the valid.txt beside it")
    if parsed.cache_by_default and not parsed.cache:
        raise ConfigError("export --cache-by-default needs --cache WORDS")
    packing = Packing(
        storage=parsed.weights,
        licence=parsed.licence,
        licence_text=_read_text(parsed.licence_file),
        notes=_read_text(parsed.notes),
        test=parsed.test,
        baseline=parsed.baseline,
        cache_size=parsed.cache,
        cache_by_default=parsed.cache_by_default,
        single_file=parsed.single_file,
        triton=parsed.triton,
    )
    folder = export_run(parsed.run_folder, parsed.to, parsed.name, parsed.version, packing)
    print(f"wrote {folder}")


def _read_text(path: Path | None) -> str:
    from training.texts import read_lines

    return "" if path is None else "\n".join(read_lines(path)) + "\n"


def _random(parsed: argparse.Namespace) -> None:
    from training.random_bundle import write_random_bundle

    sizes = {key: getattr(parsed, key) for key in ("cell", *SIZES)}
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


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "import-keras": _import_keras,
    "random": _random,
    "data": lambda parsed: {"report": _report_data, "fetch": _fetch_data}[parsed.what](parsed),
    "study": _study,
}
