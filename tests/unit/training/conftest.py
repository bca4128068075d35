"""A corpus and a command line that every test here can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.support import Say, run_config, write_corpus
from training.cli import main
from training.train import train


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Run a command and give its exit status, output and errors; `@name` is a path."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        paths = [str(tmp_path / a[1:]) if a.startswith("@") else a for a in arguments]
        status = main(paths)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus of three sentences in random order, at `@corpus` for `say`."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture(scope="session")
def run_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of `run`."""
    return write_corpus(tmp_path_factory.mktemp("shared") / "corpus")


@pytest.fixture(scope="session")
def run(run_corpus: Path) -> Path:
    """A short run, to be read only."""
    return train("r", run_config(), run_corpus, run_corpus.parent / "run")
