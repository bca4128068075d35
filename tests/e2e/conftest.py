"""A real service in a process of its own, on a port that the system picked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server


@pytest.fixture(scope="session")
def server(models_folder: Path) -> Iterator[Server]:
    """A running service with small limits."""
    limits = {"NEXTWORD_MAX_BODY_BYTES": "20000", "NEXTWORD_MAX_TOKENS": "200"}
    with Server({"NEXTWORD_MODELS": str(models_folder), **limits}) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with httpx.Client(base_url=server.url) as client:
        yield client
