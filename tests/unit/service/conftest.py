"""Real engines on small random models, for the service's own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle import Bundle, load
from service.engine.engine import Engine
from service.engine.fleet import Fleet
from service.engine.runner import Runner
from service.engine.scheduler import Limits
from service.settings import read_settings

LIMITS = Limits(max_batch=16, prefill_batch=4, prefill_chunk=8, max_queue=64)


@pytest.fixture(scope="session")
def bundle(models_folder: Path) -> Bundle:
    """The first version of the small model."""
    return load(models_folder / "talker" / "1")


@pytest.fixture
def runner(bundle: Bundle) -> Runner:
    """The small model under onnxruntime."""
    return Runner(bundle, "cpu", 1)


@pytest.fixture
async def engine(bundle: Bundle, runner: Runner) -> AsyncIterator[Engine]:
    """An engine that stops with the test."""
    engine = Engine(bundle, runner, LIMITS)
    yield engine
    await engine.stop()


@pytest.fixture
async def narrow_engine(bundle: Bundle, runner: Runner) -> AsyncIterator[Engine]:
    """An engine on which only two steps may wait."""
    engine = Engine(bundle, runner, replace(LIMITS, max_queue=2))
    yield engine
    await engine.stop()


@pytest.fixture
async def fleet(models_folder: Path) -> AsyncIterator[Fleet]:
    """All engines of the repository."""
    fleet = Fleet(read_settings({"NEXTWORD_MODELS": str(models_folder)}))
    await fleet.start()
    yield fleet
    await fleet.stop()
