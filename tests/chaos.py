"""`make chaos`: many clients, every kind of trouble, and then the books are balanced.

200 clients take 20,000 steps against a service that is killed (kill -9) and started again five
times. A client sends steps twice, sends two copies at once, hangs up in the middle, reconnects, and
repeats what was not answered, as a client on a bad network would. In the end every session must
hold every acknowledged step once, in order. Bounded in count and time; loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.server import Server
from tests.redis_server import RedisServer
from training.config import ModelConfig
from training.random_bundle import write_random_bundle

_RETRY_S = 0.05
_TIME_LIMIT_S = 540.0


@dataclass
class Books:
    """What happened, over all clients."""

    acknowledged: int = 0
    replayed: int = 0
    refused: int = 0
    broken: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0

    def balanced(self) -> bool:
        """Nothing lost, doubled or out of order."""
        return self.lost == self.doubled == self.out_of_order == 0


@dataclass
class Client:
    """One conversation: takes its steps whatever happens, and remembers what was acknowledged."""

    url: str
    number: int
    steps: int
    books: Books
    words: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Open a session, take all steps, compare."""
        chance = random.Random(self.number)
        async with contextlib.AsyncExitStack() as stack:
            self._http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
            created = await self._until_answered("POST", "/v1/sessions", {})
            self._path = f"/v1/sessions/{created['id']}"
            for at in range(self.steps):
                word = f"w{chance.randrange(90)}"
                await self._step(chance, at, word)
                self.words.append(word)
                self.books.acknowledged += 1
                if chance.random() < 0.02:  # reconnect
                    self._http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
            described = await self._until_answered("GET", self._path, None)
        self._compare(described["text"].split())

    async def _step(self, chance: random.Random, at: int, word: str) -> None:
        body = {"text": word, "at": at, "k": 1}
        path = f"{self._path}/advance"
        trouble = chance.random()
        if trouble < 0.05:  # hang up in the middle
            leaving = asyncio.create_task(self._until_answered("POST", path, body))
            await asyncio.sleep(chance.random() * 0.02)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
        copies = 2 if trouble > 0.95 else 1
        answers = [self._until_answered("POST", path, body) for _ in range(copies)]
        for answer in await asyncio.gather(*answers):
            assert at + 1 == answer["position"], answer
            self.books.replayed += answer["replayed"]
        if 0.9 < trouble < 0.95:  # send it again although it was answered
            again = await self._until_answered("POST", path, body)
            assert again["replayed"], again
            self.books.replayed += 1

    async def _until_answered(self, method: str, path: str, body: object) -> dict[str, object]:
        """Repeat a request until the service answers it."""
        while True:
            try:
                answer = await self._http.request(method, self.url + path, json=body)
            except httpx.TransportError:
                self.books.broken += 1
            else:
                if answer.status_code < 300:
                    return answer.json()
                assert 503 == answer.status_code, answer.text
                self.books.refused += 1
            await asyncio.sleep(_RETRY_S)

    def _compare(self, held: list[str]) -> None:
        """Balance what the session holds with what was acknowledged to this client."""
        if held == self.words:
            return
        self.books.lost += max(0, len(self.words) - len(held))
        self.books.doubled += max(0, len(held) - len(self.words))
        self.books.out_of_order += sum(a != b for a, b in zip(self.words, held, strict=False))


async def _kill_and_restart(server: Server, times: int, books: Books, total: int) -> None:
    """Kill the service at even distances of the work, and start it anew at once."""
    for n in range(1, times + 1):
        while books.acknowledged < total * n / (times + 1):  # noqa: ASYNC110 - a slow glance will do
            await asyncio.sleep(0.05)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def _storm(server: Server, clients: int, steps: int, kills: int) -> Books:
    books = Books()
    runs = [Client(server.url, n, steps, books).run() for n in range(clients)]
    async with asyncio.timeout(_TIME_LIMIT_S):
        await asyncio.gather(_kill_and_restart(server, kills, books, clients * steps), *runs)
    return books


def storm(settings: Mapping[str, str], clients: int, steps: int, kills: int) -> Books:
    """Run the storm on a store, and print the books."""
    started = time.monotonic()
    with Server(settings) as server:
        books = asyncio.run(_storm(server, clients, steps, kills))
    print(
        f"{settings['NEXTWORD_STORE']:7} {time.monotonic() - started:4.0f} s  "
        f"acknowledged {books.acknowledged}, replayed {books.replayed}, refused {books.refused}, "
        f"broken off {books.broken}; "
        f"lost {books.lost}, doubled {books.doubled}, out of order {books.out_of_order}",
        flush=True,
    )
    return books


def main() -> int:
    """Both durable stores in turn; exit status 1 where the books do not balance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20_000, help="of all clients together")
    parser.add_argument("--kills", type=int, default=5)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = ModelConfig(embedding=32, hidden=64, vocabulary=100)
        write_random_bundle(config, 1, "storm", 1, folder / "models")
        shared = {"NEXTWORD_MODELS": str(folder / "models")}
        sqlite = {"NEXTWORD_STORE": "sqlite", "NEXTWORD_SQLITE_PATH": str(folder / "s.db")}
        (folder / "redis").mkdir()
        with RedisServer(folder / "redis") as database:
            redis = {"NEXTWORD_STORE": "redis", "NEXTWORD_REDIS_URL": database.url}
            size = (parsed.clients, parsed.steps // parsed.clients, parsed.kills)
            books = [storm({**shared, **store}, *size) for store in (sqlite, redis)]
    return 0 if all(book.balanced() for book in books) else 1


if __name__ == "__main__":
    sys.exit(main())
