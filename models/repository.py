"""A folder of bundles: `<root>/<name>/<version>/`, the highest version wins by default.

Must not know: how bundles are checked or run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.bundle import MANIFEST_FILE, Bundle, load
from models.errors import BundleFormatError, UnknownModelError, UnknownVersionError


@dataclass(frozen=True)
class Repository:
    """The bundles under one root folder, looked up anew at each call."""

    root: Path

    def names(self) -> list[str]:
        """The models that have at least one version, sorted."""
        if not self.root.is_dir():
            raise UnknownModelError(f"there is no model repository at {self.root}")
        return sorted(path.name for path in self.root.iterdir() if self._versions(path))

    def versions(self, name: str) -> list[int]:
        """The versions of a model, oldest first; UnknownModelError where there are none."""
        if name not in self.names():
            raise UnknownModelError(f"there is no model {name!r}; there is {self.names()}")
        return self._versions(self.root / name)

    def resolve(self, name: str, version: int | None = None) -> tuple[str, int]:
        """The model and version that a request means; the newest version where it names none."""
        versions = self.versions(name)
        if version is None:
            return name, versions[-1]
        if version not in versions:
            raise UnknownVersionError(f"{name} has no version {version}; it has {versions}")
        return name, version

    def load(self, name: str, version: int | None = None) -> Bundle:
        """Read and check a bundle; BundleFormatError where it stands in another's place."""
        name, version = self.resolve(name, version)
        bundle = load(self.root / name / str(version))
        if (bundle.manifest.name, bundle.manifest.version) != (name, version):
            raise BundleFormatError(
                f"the bundle in {name}/{version} calls itself "
                f"{bundle.manifest.name}/{bundle.manifest.version}"
            )
        return bundle

    @staticmethod
    def _versions(folder: Path) -> list[int]:
        if not folder.is_dir() or folder.name.startswith("."):
            return []
        return sorted(
            int(path.name)
            for path in folder.iterdir()
            if path.name.isdecimal()
            and str(int(path.name)) == path.name
            and int(path.name) > 0
            and (path / MANIFEST_FILE).is_file()
        )
