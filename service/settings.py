"""The service's configuration: environment variables, typed, checked once at start.

Must not know: anything that uses it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import StartError

PREFIX = "NEXTWORD_"
SHIPPED_MODELS = Path(__file__).parent.parent / "models" / "repository"

_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every `NEXTWORD_*` variable, documented in service/README.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    models: Path = SHIPPED_MODELS
    """The model repository folder."""
    model: str | None = None
    """The default model; without it the only one there is, or `keyboard-en`."""
    model_change: Literal["pin", "migrate"] = "pin"
    """Whether live sessions stay with their version when a newer one appears, or go over to it."""
    provider: Literal["cpu", "cuda"] = "cpu"
    """What runs the graphs. There is no fallback from one to the other."""
    store: Literal["memory", "sqlite", "redis"] = "memory"
    """Where sessions are kept."""
    sqlite_path: Path = Path("nextword.sqlite3")
    """The file of the `sqlite` store."""
    sqlite_full_sync: bool = False
    """Whether an answered step also survives power loss, not only the end of the process."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The database of the `redis` store; Redis or Valkey."""
    state_secret: str = ""
    """Signs exported states; a server with a secret imports only what was signed with it."""
    workers: _Count = 1
    """Processes that serve; more than one need a store that they share."""
    grace_s: _Count = 10
    """Seconds that requests in flight are given when the service is told to stop."""
    deadline_s: _Seconds = 10.0
    """Seconds a step may wait and run; then it is given up with 503."""
    threads: _Count = 1
    """Threads that one graph call uses."""
    max_batch: _Count = 128
    """Rows of a batch of single steps."""
    prefill_batch: _Count = 8
    """Rows of a batch of long texts."""
    prefill_chunk: _Count = 32
    """Tokens of a long text read before single steps get their turn."""
    max_queue: _Count = 10_000
    """Steps that may wait; more are answered 503."""
    max_body_bytes: _Count = 1_048_576
    """Largest request body; a larger one is answered 413."""
    max_tokens: _Count = 65_536
    """Longest text of a session or a request, in tokens."""
    max_texts: _Count = 256
    """Texts in one stateless request."""
    max_live: _Count = 10_000
    """Live connections at once; one more is closed with 1013."""
    max_sessions: _Count = 100_000
    """Sessions held at once; one more is answered 503."""
    session_idle_ttl_s: _Seconds = 3600.0
    """Seconds a session lives without being used; also the longest `ttl_s` a client may ask."""
    session_total_ttl_s: _Seconds = 604_800.0
    """Seconds a session lives at most, however often it is used."""
    session_marks: _Count = 8
    """Recent states kept a session, so that rewinding a few words replays nothing."""
    session_cache: Annotated[int, Field(ge=0)] = 200
    """Words that a session's continuous cache may hold; 0 forbids caches."""


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the environment; StartError names an unknown or unusable variable."""
    environment = os.environ if environment is None else environment
    values = {
        name.upper().removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
    }
    for key in sorted(values.keys() - Settings.model_fields.keys()):
        raise StartError(f"unknown setting {PREFIX}{key.upper()}{_nearest(key)}")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        setting = PREFIX + str(first["loc"][0]).upper()
        raise StartError(f"{setting}={first['input']!r}: {first['msg']}") from error

    if settings.workers > 1 and settings.store == "memory":
        raise StartError("NEXTWORD_WORKERS above 1 needs NEXTWORD_STORE=sqlite or redis")
    return settings


def _nearest(key: str) -> str:
    known = list(Settings.model_fields)
    names = [PREFIX + name.upper() for name in difflib.get_close_matches(key, known, n=1) or known]
    return f" (did you mean {names[0]}?)" if len(names) == 1 else f"; there are {', '.join(names)}"
