"""Finding bundles under a root folder: names, versions, and which one is meant."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models import bundle
from models.errors import BundleFormatError, UnknownModelError, UnknownVersionError
from models.repository import Repository
from tests.unit.models import support


def save(root: Path, name: str, version: int) -> Path:
    """Put a small bundle into a repository."""
    return bundle.save(support.manifest(name=name, version=version), support.files(), root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with `alpha` in versions 2, 9 and 10, and `beta` in version 1."""
    for version in (10, 2, 9):
        save(tmp_path, "alpha", version)
    save(tmp_path, "beta", 1)
    return tmp_path


def test_models_and_versions_are_listed_in_order(root: Path) -> None:
    """Names come sorted, versions from the oldest on, counted as numbers."""
    repository = Repository(root)

    assert repository.names() == ["alpha", "beta"]
    assert repository.versions("alpha") == [2, 9, 10]


def test_the_highest_version_wins(root: Path) -> None:
    """A request without a version means the highest number, not the last in the alphabet."""
    assert Repository(root).resolve("alpha") == ("alpha", 10)
    assert Repository(root).load("alpha").manifest.version == 10


def test_a_version_can_be_asked_for(root: Path) -> None:
    """A request with a version gets that one."""
    assert Repository(root).resolve("alpha", 2) == ("alpha", 2)
    assert Repository(root).load("alpha", 2).manifest.version == 2


def test_a_new_version_is_seen_at_once(root: Path) -> None:
    """The folder is looked at anew for each request."""
    repository = Repository(root)
    assert repository.resolve("beta") == ("beta", 1)

    save(root, "beta", 2)

    assert repository.resolve("beta") == ("beta", 2)


@pytest.mark.parametrize("name", ["gamma", "", ".", "..", "alpha/10", "../alpha", "Alpha"])
def test_an_unknown_model_is_named(root: Path, name: str) -> None:
    """A name that is no model's, a path least of all, is refused with those that there are."""
    with pytest.raises(UnknownModelError) as refused:
        Repository(root).load(name)

    assert f"there is no model {name!r}; there is ['alpha', 'beta']" == str(refused.value)


@pytest.mark.parametrize("version", [0, 1, 11, -2])
def test_an_unknown_version_is_named(root: Path, version: int) -> None:
    """A version that is not there is refused with those that are."""
    with pytest.raises(UnknownVersionError) as refused:
        Repository(root).load("alpha", version)

    assert f"alpha has no version {version}; it has [2, 9, 10]" == str(refused.value)


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A root that is no folder is told from an empty one."""
    with pytest.raises(UnknownModelError, match="no model repository at"):
        Repository(tmp_path / "missing").names()
    assert Repository(tmp_path).names() == []


def test_what_is_no_bundle_is_ignored(root: Path) -> None:
    """Stray files, hidden and empty folders, and odd version names do not count."""
    good = root / "alpha" / "2"
    (root / "README.md").write_text("models")
    (root / "alpha" / "11").write_text("a file")
    (root / "alpha" / "12").mkdir()
    (root / "empty").mkdir()
    for odd in ("007", "0", "-1", "1.5", "v3", ".13.tmp", "²", "１３", " 14"):
        shutil.copytree(good, root / "alpha" / odd)
    shutil.copytree(root / "alpha", root / ".alpha")

    assert Repository(root).names() == ["alpha", "beta"]
    assert Repository(root).versions("alpha") == [2, 9, 10]


@pytest.mark.parametrize("place", ["gamma/9", "beta/2"])
def test_a_bundle_in_anothers_place_is_refused(root: Path, place: str) -> None:
    """A bundle whose manifest names another model or version than its folder is refused."""
    shutil.copytree(root / "alpha" / "9", root / place)
    name = place.partition("/")[0]

    with pytest.raises(BundleFormatError) as refused:
        Repository(root).load(name)

    assert f"the bundle in {place} calls itself alpha/9" == str(refused.value)
