"""The engines of all models, each loaded when first asked for.

Must not know: sessions, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib

from models.bundle import Bundle
from models.errors import BundleError, UnknownModelError
from models.repository import Repository
from service.engine.engine import Engine
from service.engine.runner import Runner, check_provider
from service.engine.scheduler import Limits
from service.errors import StartError
from service.settings import Settings

PREFERRED_MODEL = "keyboard-en"


class Fleet:
    """Finds the engine of a model and version; the default one is there from the start."""

    def __init__(self, settings: Settings) -> None:
        """Settle which model is the default; StartError where that cannot be told."""
        check_provider(settings.provider)
        self.repository = Repository(settings.models)
        self.default_model = settings.model or self._only_model()
        self._settings = settings
        self._engines: dict[tuple[str, int], Engine] = {}
        self._newest: dict[str, int] = {}
        """The newest version of each model in use, as of the last look."""
        self._loading = asyncio.Lock()

    async def start(self) -> None:
        """Load the default model, so that the first request need not wait for it."""
        await self.engine()

    async def engine(self, model: str | None = None, version: int | None = None) -> Engine:
        """The engine of a model; the default model and its newest version where none is named.

        Raises UnknownModelError, UnknownVersionError, or what is wrong with the bundle.
        """
        name = model or self.default_model
        version = version or self._newest.get(name)
        if version is None or (name, version) not in self._engines:
            async with self._loading:
                return await asyncio.to_thread(self._find, name, version)
        return self._engines[name, version]

    async def refresh(self) -> None:
        """Look for newer versions of the models in use, and load them before anybody needs them."""
        async with self._loading:
            for name in list(self._newest):
                with contextlib.suppress(BundleError):  # the one there is goes on serving
                    await asyncio.to_thread(self._find, name, None)

    async def stop(self) -> None:
        """Let every engine finish what it has."""
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))

    def _find(self, name: str, version: int | None) -> Engine:
        """Look into the repository, and load what is not loaded yet; runs in a thread."""
        key = self.repository.resolve(name, version)
        if key not in self._engines:
            self._engines[key] = self._load(*key)
        if version is None:
            self._newest[name] = key[1]
        return self._engines[key]

    def _load(self, name: str, version: int) -> Engine:
        settings = self._settings
        bundle: Bundle = self.repository.load(name, version)
        limits = Limits(
            settings.max_batch, settings.prefill_batch, settings.prefill_chunk, settings.max_queue
        )
        runner = Runner(bundle, settings.provider, settings.threads)
        return Engine(bundle, runner, limits, settings.deadline_s)

    def _only_model(self) -> str:
        try:
            names = self.repository.names()
        except UnknownModelError as error:
            raise StartError(f"NEXTWORD_MODELS: {error}") from error
        if PREFERRED_MODEL in names:
            return PREFERRED_MODEL
        if len(names) != 1:
            found = f"holds {', '.join(names)}" if names else "holds no model"
            raise StartError(
                f"{self.repository.root} {found}: name the default one in NEXTWORD_MODEL"
            )
        return names[0]
