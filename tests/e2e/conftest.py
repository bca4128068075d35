"""A real service in a process of its own, on a port that the system picked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server
from tests.serving import write_talker


@pytest.fixture(scope="session")
def served_models(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path) -> Path:
    """A repository with one model in two versions."""
    folder = tmp_path_factory.mktemp("served")
    for version in (1, 2):
        write_talker(folder, tiny_corpus, version=version)
    return folder


@pytest.fixture(scope="session")
def server(served_models: Path) -> Iterator[Server]:
    """A running service with small limits."""
    limits = {"NEXTWORD_MAX_BODY_BYTES": "20000", "NEXTWORD_MAX_TOKENS": "200"}
    with Server({"NEXTWORD_MODELS": str(served_models), **limits}) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with httpx.Client(base_url=server.url) as client:
        yield client
