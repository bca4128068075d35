"""Fetches public corpora: resumable, with a progress bar, checked against known hashes.

Must not know: what a corpus is used for.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from training.errors import CorpusError, FetchError, nearest

_CHUNK = 1 << 16
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Dataset:
    """A corpus that can be fetched: files under one address, each with its sha256."""

    source: str
    licence: str
    files: Mapping[str, str]


DATASETS: Mapping[str, Dataset] = {
    "wikitext-2": Dataset(
        "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2",
        "Merity et al. 2016; text from Wikipedia, CC BY-SA",
        {
            "train.txt": "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
            "valid.txt": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
            "test.txt": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        },
    )
}


def find_dataset(name: str) -> Dataset:
    """The dataset of that name; CorpusError names the nearest where there is none."""
    if name not in DATASETS:
        raise CorpusError(f"no dataset {name!r}{nearest(name, list(DATASETS))}")
    return DATASETS[name]


def fetch(dataset: Dataset, folder: Path, source: str | None = None) -> None:
    """Fetch what is not there yet; a file that was begun goes on where it was.

    `source` is another address that has the same files. Raises FetchError where the network fails
    (run it again: it goes on) or a file is not the one that is known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, sha256 in dataset.files.items():
        target, part = folder / name, folder / f".{name}.part"
        if target.exists() and _sha256(target) == sha256:
            print(f"{name} is there")
            continue
        _download(f"{source or dataset.source}/{name}", part)
        if _sha256(part) != sha256:
            part.unlink()
            raise FetchError(f"{name} is not the file that was expected: its sha256 differs")
        part.replace(target)
        print(f"{name} fetched")


def _download(url: str, part: Path) -> None:
    """Append what is missing of a file; FetchError where it breaks off."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310  # the scheme is the dataset's, or the user's own
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # likewise
            _store(answer, part, have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # all is there
            raise FetchError(f"{url}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{url}: {error}; run it again to go on") from error


def _store(answer: http.client.HTTPResponse, part: Path, have: int) -> None:
    """Write an answer behind the first `have` bytes; OSError where it ends too soon."""
    length = answer.headers.get("Content-Length")
    total = None if length is None else have + int(length)
    with (
        part.open("r+b" if have else "wb") as file,
        tqdm(desc=part.name[1:-5], initial=have, total=total, unit="B", unit_scale=True) as bar,
    ):
        file.truncate(have)
        file.seek(have)
        while chunk := answer.read(_CHUNK):
            bar.update(file.write(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection broke off at {part.stat().st_size:,} of {total:,} B")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
