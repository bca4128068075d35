"""Fetching from a real server on this machine: whole, in parts, and what was not asked for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.training.support import Say
from training.errors import CorpusError, FetchError
from training.fetch import Dataset, fetch, find_dataset

CONTENT = bytes(range(256)) * 1000
DATASET = Dataset("", "nobody's", {"train.txt": hashlib.sha256(CONTENT).hexdigest()})


class Library(ThreadingHTTPServer):
    """Serves CONTENT; may break off, ignore ranges, or serve something else."""

    breaks_after: int | None = None
    knows_ranges = True
    content = CONTENT

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Desk(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Library

    def do_GET(self) -> None:
        """The file, from where it is asked for on."""
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path != "/train.txt":
            self.send_error(404)
            return
        start = int(asked[6:-1]) if asked and self.server.knows_ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_after])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def library() -> Iterator[Library]:
    """A server on a port of its own."""
    with Library() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(library: Library, tmp_path: Path) -> None:
    """What is there and whole is not fetched again."""
    for _ in range(2):
        fetch(DATASET, tmp_path / "new", library.url)

    assert CONTENT == (tmp_path / "new" / "train.txt").read_bytes()
    assert [None] == library.ranges


def test_a_broken_download_goes_on_where_it_was(library: Library, tmp_path: Path) -> None:
    """Only what is missing is asked for."""
    library.breaks_after = 100_000
    with pytest.raises(FetchError, match="run it again to go on"):
        fetch(DATASET, tmp_path, library.url)
    assert not (tmp_path / "train.txt").exists()

    library.breaks_after = None
    fetch(DATASET, tmp_path, library.url)

    assert [None, "bytes=100000-"] == library.ranges
    assert CONTENT == (tmp_path / "train.txt").read_bytes()


def test_a_server_without_ranges_is_no_trouble(library: Library, tmp_path: Path) -> None:
    """It sends everything again, and everything is taken."""
    (tmp_path / ".train.txt.part").write_bytes(CONTENT[:500])
    library.knows_ranges = False

    fetch(DATASET, tmp_path, library.url)

    assert CONTENT == (tmp_path / "train.txt").read_bytes()


def test_a_download_that_was_whole_is_taken(library: Library, tmp_path: Path) -> None:
    """Killed between the last byte and the renaming, there is nothing left to ask for."""
    (tmp_path / ".train.txt.part").write_bytes(CONTENT)

    fetch(DATASET, tmp_path, library.url)

    assert CONTENT == (tmp_path / "train.txt").read_bytes()


def test_another_file_is_refused_and_thrown_away(library: Library, tmp_path: Path) -> None:
    """A hash that differs leaves nothing to go on with."""
    library.content = CONTENT[:-1] + b"!"

    with pytest.raises(FetchError, match=r"train\.txt is not the file .* sha256 differs"):
        fetch(DATASET, tmp_path, library.url)

    assert [] == list(tmp_path.iterdir())


def test_an_altered_file_is_fetched_anew(library: Library, tmp_path: Path) -> None:
    """What lies there under the name but is another file is replaced."""
    (tmp_path / "train.txt").write_text("mine")

    fetch(DATASET, tmp_path, library.url)

    assert CONTENT == (tmp_path / "train.txt").read_bytes()


def test_what_is_not_there_is_said(library: Library, tmp_path: Path) -> None:
    """A missing file, and a server that is none."""
    with pytest.raises(FetchError, match="404"):
        fetch(DATASET, tmp_path, f"{library.url}/elsewhere")
    with pytest.raises(FetchError, match="run it again"):
        fetch(DATASET, tmp_path, "http://127.0.0.1:1")
    with pytest.raises(CorpusError, match="did you mean 'wikitext-2'"):
        find_dataset("wikitext2")


def test_the_command_says_where_it_put_it(say: Say, library: Library) -> None:
    """Refused, because our library has another train.txt than WikiText-2."""
    status, _, err = say("data", "fetch", "wikitext-2", "--to", "@data", "--from", library.url)

    assert 2 == status
    assert "train.txt is not the file that was expected" in err
