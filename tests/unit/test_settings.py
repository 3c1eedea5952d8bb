"""Settings are checked before anything starts; what is wrong is said in sentences, all at once."""

from pathlib import Path

import pytest

from usher.settings import FILE, ROOT, SettingsError, described, load, missing_files, opened


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
    assert problems({"USHER_TILE_S": "two"}) == ["USHER_TILE_S='two' must be a whole number."]
    assert problems({"USHER_TILE_S": "1.5"}) == ["USHER_TILE_S='1.5' must be a whole number."]
    assert problems({"USHER_CLOCK_LAG_S": "x"}) == ["USHER_CLOCK_LAG_S='x' must be a number."]


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


def test_lateness_within_the_hour_of_duplicates() -> None:
    assert load({"USHER_ALLOWED_LATENESS_S": "3600"})["allowed_lateness_s"] == 3600
    (told,) = problems({"USHER_ALLOWED_LATENESS_S": "3601"})
    assert told.startswith("allowed_lateness_s = 3601 must be at most 3600")


def test_parallelism_within_its_maximum() -> None:
    (told,) = problems({"USHER_PARALLELISM": "300"})
    assert told.startswith("parallelism = 300 must be at most max_parallelism = 128")
    assert load({"USHER_PARALLELISM": "300", "USHER_MAX_PARALLELISM": "300"})["parallelism"] == 300


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


def test_a_secret_that_is_no_text_or_empty_or_twice(tmp_path: Path) -> None:
    for name, content in (("binary", b"\xff\xfe\x00"), ("empty", b"\n"), ("good", b"right")):
        (tmp_path / name).write_bytes(content)
    told = problems({
        "USHER_KAFKA_PASSWORD_FILE": f"{tmp_path}/binary",
        "USHER_WRITE_KEY_FILE": f"{tmp_path}/empty",
        "USHER_ELASTICSEARCH_API_KEY_FILE": f"{tmp_path}/good",
        "USHER_ELASTICSEARCH_API_KEY": "other",
    })  # fmt: skip
    assert told == [
        f"USHER_KAFKA_PASSWORD_FILE names {tmp_path}/binary, which cannot be read: it is no text.",
        "USHER_ELASTICSEARCH_API_KEY and USHER_ELASTICSEARCH_API_KEY_FILE are both set: unset one of them.",
        f"USHER_WRITE_KEY_FILE names {tmp_path}/empty, which cannot be read: it is empty.",
    ]


@pytest.mark.parametrize("name", ["WRITE_KEY", "READ_KEY", "ADMIN_KEY", "PSEUDONYM_KEYS"])
def test_the_keys_of_the_service_come_by_file_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "key").write_text("open sesame\n")
    environ = {f"USHER_{name}_FILE": f"{tmp_path}/key", "HOME": "/root"}
    assert opened(environ) == {f"USHER_{name}": "open sesame", "HOME": "/root"}
    assert "open sesame" not in repr(load(environ))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        opened({f"USHER_{name}_FILE": f"{tmp_path}/none"})


@pytest.mark.parametrize("address", ["kafka", "kafka:0", "kafka:99999", ":9092", "a:1,b"])
def test_bad_bootstrap_address(address: str) -> None:
    (problem,) = problems({"USHER_KAFKA": address})
    assert problem.endswith("is not an address like broker:9092.")


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    (problem,) = problems({"USHER_ELASTICSEARCH": "http://me:hush@es:9200"})
    assert "without user and password" in problem and "hush" not in problem


@pytest.mark.parametrize("address", ["nonsense", "http://", "http://es:99999", "http://es:0", "es:9200", "http://a b"])
@pytest.mark.parametrize("name", ["elasticsearch", "flink"])
def test_bad_http_address(name: str, address: str) -> None:
    (problem,) = problems({f"USHER_{name.upper()}": address})
    assert problem.startswith(f"{name} must ") and "http://host:" in problem


def test_addresses() -> None:
    hosts = "https://es/prefix; http://[::1]:9200 ;http://es:9200"
    settings = load({"USHER_KAFKA": "a:1, b:2", "USHER_ELASTICSEARCH": hosts})
    assert settings["kafka"] == "a:1,b:2"
    assert settings["elasticsearch"] == "https://es/prefix;http://[::1]:9200;http://es:9200"


def test_an_authority_that_is_not_there() -> None:
    kafka, elasticsearch, plain = problems({"USHER_KAFKA_CA": "/none.pem", "USHER_ELASTICSEARCH_CA": "/none.pem"})
    assert kafka.startswith("kafka_ca = /none.pem is not a file")
    assert elasticsearch.startswith("elasticsearch_ca = /none.pem is not a file")
    assert plain.startswith("elasticsearch_ca is for addresses that begin with https://")


def test_files_that_a_job_needs(tmp_path: Path) -> None:
    settings = load({"USHER_MODEL_DIR": "build/none", "USHER_RULES_DIR": f"{tmp_path}/none"})
    (model,) = missing_files(settings, ("model_dir", "rules_dir"))
    assert model.startswith(f"model_dir = {ROOT}/build/none does not exist") and "USHER_MODEL_DIR" in model
    assert len(missing_files(settings, ("model_dir", "rules_dir"), here=True)) == 2
    assert missing_files(load({}), ("rules_dir",), here=True) == []


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


def in_file(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """What is said of conf/usher.yaml after these changes."""
    text = FILE.read_text()
    for before, after in changes:
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / "usher.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load({}, folder / "usher.yaml")
    return str(refused.value).splitlines()


def test_a_misspelt_name_and_wrong_kinds_in_the_file(tmp_path: Path) -> None:
    changes = ("\nparallelism: 1", "\nparalelism: 4"), ("\ntile_s: 1 ", "\ntile_s: abc "), ("\nkafka: 1", "\nkafka: #1")
    assert in_file(tmp_path, *changes, ("\nclock_lag_s: 0.8", "\nclock_lag_s: true")) == [
        "paralelism in usher.yaml is not a setting of Usher.",
        "parallelism is missing in usher.yaml.",
        'kafka = None in usher.yaml must be text; put it in quotes, "" for none.',
        "tile_s = 'abc' in usher.yaml must be a whole number.",
        "clock_lag_s = True in usher.yaml must be a number.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [("kafka: [", "cannot be read as settings"), ("kafka\n", "holds no settings"), ("\xff", "cannot be read")],
)
def test_a_file_that_is_broken(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "usher.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=told) as refused:
        load({}, tmp_path / "usher.yaml")
    assert str(refused.value).count("\n") == 0
    with pytest.raises(SettingsError, match="No such file"):
        load({}, tmp_path / "none.yaml")


def test_whole_seconds_where_fractions_may_be(tmp_path: Path) -> None:
    (tmp_path / "usher.yaml").write_text(FILE.read_text().replace("clock_lag_s: 0.8", "clock_lag_s: 1"))
    assert load({"USHER_CLOCK_LAG_S": "0.5"}, tmp_path / "usher.yaml")["clock_lag_s"] == 0.5


def test_what_may_not_be_empty() -> None:
    assert problems({"USHER_GROUP_ID": "", "USHER_KAFKA_USER": ""}) == ["group_id must not be empty."]
