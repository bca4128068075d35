"""The README's conversation: its commands, run as they stand, give what it prints."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.e2e.server import ROOT, Server, clean_environment

_OWN_TO_A_RUN = re.compile(r'"(id|expires_at|created_at)":"[^"]*"')
_FRACTION = re.compile(r"-?\d+\.\d+(?:[eE]-?\d+)?")


def conversation() -> list[tuple[str, str]]:
    """Each curl command of the conversation, and the answer printed below it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## A conversation")[1].split("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    pairs = re.findall(r"^\$ (curl (?:.*\\\n)*.*)\n(.+)$", "".join(blocks), re.MULTILINE)
    return [(command, answer) for command, answer in pairs]


def parted(answer: str) -> tuple[str, list[float]]:
    """An answer without what is different each time, and its fractions by themselves."""
    text = _OWN_TO_A_RUN.sub(r'"\1":..', answer.strip())
    return _FRACTION.sub("#", text), [float(digits) for digits in _FRACTION.findall(text)]


def test_the_conversation_is_true() -> None:
    """Against the shipped model, from the first prediction to the session's end."""
    pairs = conversation()
    session_id = ""
    with Server({}) as server:
        for command, expected in pairs:
            local = command.replace("http://127.0.0.1:8000", server.url)
            ran = subprocess.run(
                ["bash", "-c", local],
                env=clean_environment({"ID": session_id}),
                capture_output=True,
                text=True,
                check=True,
            )
            (text, fractions), (wanted, figures) = parted(ran.stdout), parted(expected)
            assert wanted == text
            assert pytest.approx(figures, rel=1e-4) == fractions
            session_id = session_id or json.loads(ran.stdout or "{}").get("id", "")
    assert 8 == len(pairs)
