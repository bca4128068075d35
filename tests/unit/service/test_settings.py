"""Reading the environment."""

from __future__ import annotations

import pytest

from service.errors import StartError
from service.settings import read_settings


def test_defaults_need_no_environment() -> None:
    """Variables of others are none of our business."""
    assert "cpu" == read_settings({"HOME": "/", "PORT": "x"}).provider


def test_values_are_typed() -> None:
    """Numbers arrive as numbers."""
    settings = read_settings({"NEXTWORD_MAX_SESSIONS": "7", "NEXTWORD_SESSION_IDLE_TTL_S": "1.5"})
    assert (7, 1.5) == (settings.max_sessions, settings.session_idle_ttl_s)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NEXTWORD_MODLES", "x", "unknown setting NEXTWORD_MODLES.*mean NEXTWORD_MODELS"),
        ("NEXTWORD_XYZZY", "x", "unknown setting NEXTWORD_XYZZY; there are NEXTWORD_MODELS"),
        ("NEXTWORD_MAX_SESSIONS", "many", "NEXTWORD_MAX_SESSIONS='many': .*integer"),
        ("NEXTWORD_MAX_SESSIONS", "0", "NEXTWORD_MAX_SESSIONS='0': .*greater than or equal to 1"),
        ("NEXTWORD_PROVIDER", "tpu", "NEXTWORD_PROVIDER='tpu': .*'cpu' or 'cuda'"),
        ("NEXTWORD_STORE", "paper", "NEXTWORD_STORE='paper'"),
        ("NEXTWORD_WORKERS", "2", "NEXTWORD_WORKERS above 1 needs NEXTWORD_STORE"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, message: str) -> None:
    """An unknown setting or an unusable value stops the start."""
    with pytest.raises(StartError, match=message):
        read_settings({name: value})
