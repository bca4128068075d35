"""What models there are, and whether the service lives and is ready.

Must not know: sessions.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from models.bundle import MANIFEST_FILE
from service.api.dependencies import PartsOf
from service.api.schemas import HealthOut, ModelOut, ModelsOut

router = APIRouter()


@router.get("/v1/models", tags=["models"])
def models(parts: PartsOf) -> ModelsOut:
    """The models on offer, in the shape of OpenAI's list; reads folders, so in a thread."""
    repository = parts.fleet.repository
    found = []
    for name in repository.names():
        versions = repository.versions(name)
        manifest = repository.root / name / str(versions[-1]) / MANIFEST_FILE
        found.append(
            ModelOut(
                id=name,
                created=int(manifest.stat().st_mtime),
                versions=versions,
                default=name == parts.fleet.default_model,
            )
        )
    return ModelsOut(data=found)


@router.get("/livez", tags=["health"])
async def livez() -> HealthOut:
    """The process runs and its event loop turns."""
    return HealthOut(status="alive")


@router.get("/readyz", tags=["health"])
async def readyz(parts: PartsOf, response: Response) -> HealthOut:
    """The default model is loaded and new work is taken; 503 before and while shutting down."""
    if not parts.ready:
        response.status_code = 503
    return HealthOut(status="ready" if parts.ready else "not ready")
