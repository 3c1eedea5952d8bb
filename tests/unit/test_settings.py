"""Settings are checked before anything starts; what is wrong is said in sentences, all at once."""

from pathlib import Path

import pytest

from usher.settings import ROOT, SettingsError, described, load


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


def test_every_setting_is_described_with_its_own_variable() -> None:
    found = described({})
    assert {one.name for one in found} == set(load({}))
    assert all(one.variable == f"USHER_{one.name.upper()}" and one.help for one in found)
    assert all(one.value == one.default for one in found)


def test_a_secret_comes_by_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    environ = {"USHER_ELASTICSEARCH_USER": "usher", "USHER_ELASTICSEARCH_PASSWORD_FILE": str(file)}
    assert load(environ)["elasticsearch_password"] == "open sesame"
    assert "sesame" not in repr(described(environ))
    (problem,) = problems({"USHER_KAFKA_PASSWORD_FILE": str(tmp_path / "none")})
    assert problem.startswith("USHER_KAFKA_PASSWORD_FILE names ") and problem.endswith("No such file or directory.")


def test_a_secret_in_the_file_of_settings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "usher.yaml"
    file.write_text((ROOT / "conf/usher.yaml").read_text().replace('kafka_password: ""', "kafka_password: hush"))
    with pytest.raises(SettingsError, match="USHER_KAFKA_PASSWORD or USHER_KAFKA_PASSWORD_FILE only") as refused:
        load({}, file)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("address", ["kafka", "kafka:0", "kafka:99999", ":9092", "a:1,b"])
def test_bad_bootstrap_address(address: str) -> None:
    (problem,) = problems({"USHER_KAFKA": address})
    assert problem.endswith("is not an address like broker:9092.")


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    (problem,) = problems({"USHER_ELASTICSEARCH": "http://me:hush@es:9200"})
    assert "without user and password" in problem and "hush" not in problem


def test_half_a_login() -> None:
    assert len(problems({"USHER_KAFKA_SECURITY": "SASL_SSL", "USHER_ELASTICSEARCH_USER": "u"})) == 2


def test_a_cluster_needs_places_that_all_its_machines_reach() -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, cluster=True)
    assert [line.partition(" = ")[0] for line in str(refused.value).splitlines()] == ["checkpoint_dir", "dead_letters"]
    load({"USHER_CHECKPOINT_DIR": "s3://bucket/usher", "USHER_DEAD_LETTERS": "/var/lib/usher"}, cluster=True)


def test_bad_time_and_half_a_replacement() -> None:
    assert len(problems({"USHER_START_AT": "yesterday"})) == 1
    assert len(problems({"USHER_REPLACES": "0123abc"})) == 1
