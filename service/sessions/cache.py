"""Which continuous cache a session gets, of what client, model and server say.

Must not know: how a cache works, HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.cache import CacheConfig, ModelCache
from service.errors import BadRequestError


@dataclass(frozen=True)
class CacheWish:
    """What a client asks for; what it leaves out is as the model says."""

    wanted: bool | None = None
    """None leaves it to the model."""
    size: int | None = None
    theta: float | None = None
    share: float | None = None


def choose_cache(wish: CacheWish, model: ModelCache | None, most: int) -> CacheConfig | None:
    """The cache that a session gets, or None.

    Raises BadRequestError where it would hold more than `most` words, or where the model has no
    weights and the client does not name them all.
    """
    wanted = wish.wanted
    if wanted is None:
        wanted = model is not None and model.by_default and most > 0
    if not wanted:
        return None
    chosen = {} if model is None else model.model_dump(exclude={"by_default"})
    if model is not None:
        chosen["size"] = min(model.size, max(most, 1))
    asked = {"size": wish.size, "theta": wish.theta, "share": wish.share}
    chosen |= {name: value for name, value in asked.items() if value is not None}
    missing = [name for name in asked if name not in chosen]
    if missing:
        raise BadRequestError(f"the model has no cache of its own: name its {', '.join(missing)}")
    config = CacheConfig.model_validate(chosen)
    check_size(config, most)
    return config


def check_size(config: CacheConfig | None, most: int) -> None:
    """Raise BadRequestError where a cache holds more words than the server allows."""
    if config is not None and config.size > most:
        raise BadRequestError(
            f"a cache of {config.size} words is more than the {most} this server allows"
        )
