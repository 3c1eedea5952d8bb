"""Settings are checked before anything starts; what is wrong is said in sentences, all at once."""

from pathlib import Path

import pytest

from usher.settings import ROOT, SettingsError, load


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(environ)
    return str(refused.value).splitlines()


def test_defaults_and_overrides() -> None:
    assert load({})["tile_s"] == 1
    settings = load({"USHER_TILE_S": "2", "USHER_OUT_OF_ORDERNESS_S": "1.5", "USHER_KAFKA": "k:9092", "HOME": "/root"})
    assert (settings["tile_s"], settings["out_of_orderness_s"], settings["kafka"]) == (2, 1.5, "k:9092")


def test_paths_are_absolute() -> None:
    assert load({})["model_dir"] == str(ROOT / "build/model")
    assert load({"USHER_MODEL_DIR": "/models"})["model_dir"] == "/models"
    assert all(Path(load({})[name]).is_absolute() for name in ("geo_database", "rules_dir", "connectors_jar"))


def test_unknown_variable() -> None:
    assert problems({"USHER_TYLE_S": "2"}) == [
        "USHER_TYLE_S is not a setting of Usher; see usher.yaml for those that are."
    ]


def test_bad_number() -> None:
    assert problems({"USHER_TILE_S": "two"}) == ["USHER_TILE_S='two' must be a number like the default 1."]
    assert problems({"USHER_TILE_S": "1.5"}) == ["USHER_TILE_S='1.5' must be a number like the default 1."]


@pytest.mark.parametrize("value", ["0", "-1"])
def test_zero_and_less(value: str) -> None:
    assert problems({"USHER_PARALLELISM": value}) == [f"parallelism = {value} must be greater than zero."]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_that_is_none(value: str) -> None:
    assert len(problems({"USHER_CLOCK_LAG_S": value})) == 1


def test_out_of_orderness() -> None:
    assert load({"USHER_OUT_OF_ORDERNESS_S": "0"})["out_of_orderness_s"] == 0


def test_negative_out_of_orderness() -> None:
    assert len(problems({"USHER_OUT_OF_ORDERNESS_S": "-1"})) == 1


def test_choice() -> None:
    assert problems({"USHER_STATE_BACKEND": "redis"}) == ["state_backend = 'redis' must be one of hashmap, rocksdb."]


def test_all_problems_at_once() -> None:
    assert len(problems({"USHER_TYLE_S": "2", "USHER_TILE_S": "x", "USHER_PARALLELISM": "0"})) == 3
