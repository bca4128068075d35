"""Run configurations: recipes, overrides, and the sentence for each mistake in them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from training.config import (
    CELLS,
    RECIPES,
    RunConfig,
    check_config,
    check_model_config,
    load_recipe,
    recipe_names,
)
from training.errors import ConfigError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name: str) -> None:
    """Each recipe that comes with the project is a valid run."""
    assert isinstance(load_recipe(name), RunConfig)


def test_the_recipes_are_listed() -> None:
    """The names are those of the files, sorted, the two that the documentation uses among them."""
    assert {"keyboard", "tiny"} <= set(recipe_names())
    assert sorted(recipe_names()) == recipe_names()


def test_a_recipe_says_what_its_file_says() -> None:
    """Keys of the file are taken over; the others keep their defaults."""
    written = tomllib.loads((RECIPES / "tiny.toml").read_text(encoding="utf-8"))

    assert RunConfig().model_dump() | written == load_recipe("tiny").model_dump()
    assert set(written) < set(RunConfig.model_fields)


def test_an_override_wins_over_the_recipe() -> None:
    """`--set` beats the file, and the last of two for the same key beats the first."""
    config = load_recipe("tiny", ["hidden=5", "cell=gru", "hidden = 6", "tied=false"])

    assert ("gru", 6, False) == (config.cell, config.hidden, config.tied)
    assert load_recipe("tiny").bptt == config.bptt


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("learning_rate=3e-4", 3e-4),
        ("learning_rate=1", 1.0),
        ("vocabulary=20_000", 20_000),
        ('cell="gru"', "gru"),
        ("cell=peephole_lstm", "peephole_lstm"),
        ("tied=true", True),
    ],
)
def test_values_are_written_as_in_the_file(override: str, value: object) -> None:
    """Numbers and truth values read as in TOML; a bare word is a text."""
    assert value == getattr(load_recipe("tiny", [override]), override.partition("=")[0])


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("hiden", "hidden"), ("Hidden", "hidden"), ("lerning_rate", "learning_rate")],
)
def test_an_unknown_key_names_the_nearest_one(key: str, nearest: str) -> None:
    """A misspelt key is refused with the key that was probably meant."""
    with pytest.raises(ConfigError) as refused:
        load_recipe("tiny", [f"{key}=3"])

    assert f"unknown key {key!r} (did you mean {nearest!r}?)" == str(refused.value)


def test_a_key_like_no_other_lists_the_known_ones() -> None:
    """Where no key is near, all are named."""
    with pytest.raises(
        ConfigError, match=r"unknown key 'xyzzy' \(known: cell, normalization, .*, seed\)"
    ):
        load_recipe("tiny", ["xyzzy=3"])


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("hidden=0", "hidden"),
        ("hidden=2.5", "hidden"),
        ("hidden=many", "hidden"),
        ("hidden=", "hidden"),
        ("vocabulary=2", "vocabulary"),
        ("cell=transformer", "cell"),
        ("normalization=group", "normalization"),
        ("start=zeros", "start"),
        ("dropout_output=1", "dropout_output"),
        ("dropout_output=-0.1", "dropout_output"),
        ("learning_rate=0", "learning_rate"),
        ("learning_rate=nan", "learning_rate"),
        ("clip=0", "clip"),
        ("epochs=0", "epochs"),
        ("epochs=inf", "epochs"),
        ("optimizer=adam", "optimizer"),
        ("schedule=linear", "schedule"),
        ("precision=int8", "precision"),
        ("text=words", "text"),
        ("tied=maybe", "tied"),
        ("hidden=[1]", "hidden"),
    ],
)
def test_a_bad_value_names_its_key(override: str, key: str) -> None:
    """A value that cannot be used is refused in one line that begins with the key."""
    with pytest.raises(ConfigError, match=f"^{key}: [^\n]+$"):
        load_recipe("tiny", [override])


def test_all_bad_values_are_named_together() -> None:
    """Two faults are told at once, so that nobody has to try twice."""
    with pytest.raises(ConfigError, match=r"^hidden: .*; clip: "):
        load_recipe("tiny", ["hidden=0", "clip=0"])


@pytest.mark.parametrize("override", ["hidden", ""])
def test_an_override_without_a_value_is_refused(override: str) -> None:
    """`--set` without an equals sign is told how it is written."""
    with pytest.raises(ConfigError, match="--set takes key=value"):
        load_recipe("tiny", [override])


def test_an_unknown_recipe_names_the_nearest_one() -> None:
    """A misspelt recipe is refused with the one probably meant, and all there are."""
    with pytest.raises(ConfigError, match=r"no recipe 'keybord' \(did you mean 'keyboard'\?\)"):
        load_recipe("keybord")


def test_a_recipe_can_be_a_path(tmp_path: Path) -> None:
    """A name that ends in .toml is a file anywhere."""
    (tmp_path / "mine.toml").write_text('cell = "gru"\nhidden = 9\n', encoding="utf-8")

    config = load_recipe(str(tmp_path / "mine.toml"), ["hidden=10"])

    assert ("gru", 10) == (config.cell, config.hidden)


@pytest.mark.parametrize("content", [b"cell = ", b"\xff", b"hidden = 1\nhidden = 2\n"])
def test_a_recipe_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read is refused with its path."""
    (tmp_path / "bad.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"bad\.toml: "):
        load_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("place", ["missing.toml", "folder.toml"])
def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path, place: str) -> None:
    """A path to nothing, or to a folder, is refused with the path."""
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(ConfigError, match=place):
        load_recipe(str(tmp_path / place))


def test_a_recipes_unknown_key_is_refused(tmp_path: Path) -> None:
    """A recipe file is held to the same keys as `--set`."""
    (tmp_path / "bad.toml").write_text("[model]\nhidden = 1\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="unknown key 'model'"):
        load_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("cell", CELLS)
def test_a_configuration_survives_being_written_down(cell: str) -> None:
    """Its plain values give the same configuration again."""
    config = check_config({"cell": cell, "epochs": 0.3, "tied": False})

    assert config == check_config(config.model_dump())


def test_a_models_shape_takes_no_training_keys() -> None:
    """A model without a run has no epochs, and its keys are checked like a run's."""
    assert check_model_config({"hidden": 4}).hidden == 4
    with pytest.raises(ConfigError, match="unknown key 'epochs'"):
        check_model_config({"epochs": 1})


def test_a_configuration_cannot_be_changed() -> None:
    """What decides a run stays as it was read."""
    with pytest.raises(ValidationError):
        load_recipe("tiny").hidden = 3  # type: ignore[misc]  # that it fails is the point
