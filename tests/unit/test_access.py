"""What is amiss is said in sentences before anything starts: by real servers, fakes, and ports where nobody is."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors import certificate, guarded, mute, nobody, secured_broker
from elasticsearch import BadRequestError, Elasticsearch
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError
from waiting import until

from usher.access import (
    AccessError,
    check_access,
    check_elasticsearch,
    check_kafka,
    check_servers,
    elasticsearch_options,
    kafka_options,
    said,
)
from usher.settings import load
from usher.stack import Stack, indices
from usher.stack._servers import HOST
from usher.stack.indices import create_index, create_indices
from usher.stack.topics import create_topics


def problems(settings: dict[str, Any], check: Any = check_access) -> list[str]:
    began = time.monotonic()
    with pytest.raises(AccessError) as refused:
        check(settings)
    assert time.monotonic() - began < 27  # with the start of Python within 30 s, the promise to the operator
    return str(refused.value).splitlines()


@pytest.fixture
def reached(stack: Stack) -> dict[str, Any]:
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    return load({"USHER_KAFKA": stack.kafka, "USHER_ELASTICSEARCH": stack.elasticsearch})


def test_all_is_well(reached: dict[str, Any]) -> None:
    check_access(reached)
    with nobody() as nowhere:  # one of several is enough
        check_access(
            reached
            | {name: f"{prefix}{nowhere}{between}{reached[name]}"
               for name, prefix, between in (("kafka", "", ","), ("elasticsearch", "http://", ";"))}
        )  # fmt: skip


@pytest.mark.parametrize("check", [check_access, check_servers])
def test_nobody_there(check: Any) -> None:
    with nobody() as nowhere:
        kafka, elasticsearch = problems(load({}) | {"kafka": nowhere, "elasticsearch": f"http://{nowhere}"}, check)
    assert kafka.startswith(f"Kafka at {nowhere} does not answer (Connection refused)") and "USHER_KAFKA" in kafka
    assert elasticsearch.startswith(f"Elasticsearch at http://{nowhere} does not answer")


def test_nobody_says_a_word() -> None:
    with mute() as silent:
        kafka, elasticsearch = problems(load({}) | {"kafka": silent, "elasticsearch": f"http://{silent}"})
        tls = problems(load({}) | {"kafka": silent, "kafka_security": "SSL"}, check_kafka)
    assert kafka.startswith(f"Kafka at {silent} is there, but says nothing for 3 s, which is not Kafka by PLAINTEXT")
    assert "USHER_KAFKA_SECURITY" in kafka and "USHER_KAFKA_PASSWORD" not in kafka
    assert "does not answer (ConnectionTimeout)" in elasticsearch
    assert "does not speak TLS" in tls[0]


def test_a_web_server_is_no_broker_and_no_elasticsearch() -> None:
    with guarded(product="Other") as address:
        settings = load({}) | {"elasticsearch_user": "usher", "elasticsearch_password": "right"}
        kafka, other = problems(settings | {"kafka": address.removeprefix("http://"), "elasticsearch": address})
    assert "is there, but answers something else, which is not Kafka" in kafka and "PASSWORD" not in kafka
    assert "is there, but something else than Elasticsearch: check USHER_ELASTICSEARCH." in other


def test_missing_topic_and_index(reached: dict[str, Any]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=reached["kafka"])
    admin.delete_topics(["events_late"])
    until(lambda: "events_late" not in admin.list_topics(), 30, "the topic to be gone")
    admin.close()
    with Elasticsearch(reached["elasticsearch"]) as client:
        client.indices.delete(index=list(client.indices.get_alias(name="ingest")))
    check_servers(reached)  # what `usher setup` makes need not be there before
    kafka, elasticsearch = problems(reached)
    assert kafka == f"Kafka at {reached['kafka']} has no topic events_late: create what is missing with `usher setup`."
    assert elasticsearch.endswith("has no index ingest: create what is missing with `usher setup`.")


def test_missing_files(reached: dict[str, Any]) -> None:
    settings = load({"USHER_MODEL_DIR": "build/none", "USHER_GEO_DATABASE": "/on/the/workers/alone"})
    (told,) = problems(reached | {name: settings[name] for name in ("model_dir", "geo_database")})
    assert told.startswith("model_dir = ") and "build/none does not exist: `usher train` makes a model" in told


def test_a_column_that_the_index_does_not_know(reached: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgraded job's mapping has a field more: refused before the start, until `usher setup` has added it."""
    mapping = json.loads((indices.MAPPINGS / "profiles.json").read_text())
    mapping["mappings"]["properties"]["shoe_size"] = {"type": "integer"}
    monkeypatch.setattr(indices, "_body", lambda alias: mapping if alias == "profiles" else {})
    (told,) = problems(reached)
    assert told.endswith("the index profiles has no field shoe_size: `usher setup` adds them.")
    assert create_indices(reached["elasticsearch"]) == ("profiles.shoe_size",)
    check_access(reached)
    monkeypatch.undo()
    with Elasticsearch(reached["elasticsearch"]) as client:
        client.indices.delete(index=list(client.indices.get_alias(name="profiles")))
    create_indices(reached["elasticsearch"])


@pytest.mark.parametrize(
    ("command", "servers"),
    [
        ("check", "KE"), ("setup", "KE"), ("run personalize", "KE"), ("requeue", "K"), ("simulate --users 1", "K"),
        ("replay README.md", "K"), ("index create x", "E"), ("profile ada", "E"), ("erase ada", "KE"), ("retain", "KE"),
    ],
)  # fmt: skip
def test_each_command_ends_in_that_sentence(command: str, servers: str) -> None:
    variables = {"USHER_KAFKA": f"{HOST}:1", "USHER_ELASTICSEARCH": f"http://{HOST}:1", "PATH": ""}
    line = [sys.executable, "-m", "usher.cli", *command.split()]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    said = [f"Kafka at {HOST}:1 does not"] * ("K" in servers) + [f"Elasticsearch at http://{HOST}:1 does not"] * (
        "E" in servers
    )
    assert [line[: len(wanted)] for line, wanted in zip(done.stderr.splitlines(), said, strict=True)] == said


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, keystore: tuple[Path, Path]) -> Iterator[dict[str, str]]:
    with secured_broker(tmp_path_factory.mktemp("broker"), keystore[1]) as addresses:
        yield addresses


LOGIN = {"kafka_security": "SASL_PLAINTEXT", "kafka_user": "usher", "kafka_password": "guess-4711"}


@pytest.mark.parametrize(
    ("listener", "settings", "said"),
    [
        ("SASL_PLAINTEXT", LOGIN, "does not accept the login by SASL_PLAINTEXT: check USHER_KAFKA_SECURITY"),
        ("SASL_PLAINTEXT", {}, "hangs up on us: it seems to want a login, which PLAINTEXT has not"),
        ("SSL", {}, "which is not Kafka by PLAINTEXT: check that USHER_KAFKA has the broker's port"),
        ("SSL", {"kafka_security": "SSL"}, "has a certificate that is not trusted (self-signed certificate)"),
        ("SSL", {"kafka_security": "SSL", "kafka_ca": "/none.pem"}, "USHER_KAFKA_CA=/none.pem is no PEM file"),
        ("PLAINTEXT", {"kafka_security": "SSL"}, "does not speak TLS"),
        ("LOST", {}, "the addresses which it advertises (advertised.listeners)"),
    ],
)
def test_who_does_not_get_in_at_a_broker(
    broker: dict[str, str], listener: str, settings: dict[str, str], said: str
) -> None:
    (told,) = problems(load({}) | {"kafka": broker[listener]} | settings, check_kafka)
    assert told.startswith(f"Kafka at {broker[listener]} ") and said in told and "4711" not in told


def test_who_gets_in_at_a_broker(broker: dict[str, str], keystore: tuple[Path, Path]) -> None:
    for listener, settings in (
        ("PLAINTEXT", {}),
        ("SASL_PLAINTEXT", LOGIN | {"kafka_password": "right"}),
        ("SSL", {"kafka_security": "SSL", "kafka_ca": str(keystore[0])}),
    ):
        reached = load({}) | {"kafka": broker[listener]} | settings
        check_kafka(reached)
        with pytest.raises(AccessError, match="has no topic events: create"):
            check_kafka(reached, ("events",))


@pytest.mark.parametrize(
    ("password", "path", "said"),
    [
        ("guess-4711", "/", "does not accept the login"),
        ("right", "/_bulk", "does not let us write to profiles (forbidden)"),
        ("right", "items", "does not let us write to profiles (security_exception)"),
        ("right", "/profiles/_mapping", "forbids reading about its indices"),
    ],
)
def test_elasticsearch_login_and_rights(reached: dict[str, Any], password: str, path: str, said: str) -> None:
    login = {"elasticsearch_user": "usher", "elasticsearch_password": password}
    with guarded(path) as address:
        told = problems(reached | login | {"elasticsearch": address})
        if password == "right":
            check_elasticsearch(reached | login | {"elasticsearch": address})  # what it may is another question
    assert any(said in line for line in told) and "4711" not in "".join(told)


def test_elasticsearch_by_tls(keystore: tuple[Path, Path]) -> None:
    login = load({}) | {"elasticsearch_user": "usher", "elasticsearch_password": "right"}
    with guarded(keystore=keystore[1]) as address:
        check_elasticsearch(login | {"elasticsearch": address, "elasticsearch_ca": str(keystore[0])})
        (told,) = problems(login | {"elasticsearch": address}, check_elasticsearch)
    assert "has a certificate that is not trusted: USHER_ELASTICSEARCH_CA names" in told
    with guarded() as address:
        (told,) = problems(login | {"elasticsearch": address.replace("http:", "https:")}, check_elasticsearch)
    assert "does not speak TLS" in told and "http://" in told


def test_what_servers_say_otherwise(reached: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as refused:
        create_index("profiles", "profiles-v1", hosts=reached["elasticsearch"])
    assert said(refused.value).startswith("Elasticsearch refused it: index [profiles-v1/")
    assert said(refused.value).endswith("] already exists.")
    told = said(KafkaTimeoutError("gone"))
    assert told == "Kafka: KafkaTimeoutError: gone. `usher check` says what is amiss."


def test_options_of_the_tables_hold_the_logins(tmp_path: Path) -> None:
    (authority := tmp_path / "ca.pem").write_text("any")
    settings = load({
        "USHER_KAFKA_SECURITY": "SASL_SSL", "USHER_KAFKA_USER": "u", "USHER_KAFKA_PASSWORD": "it's \"x\"",
        "USHER_KAFKA_CA": str(authority), "USHER_ELASTICSEARCH_API_KEY": "key",
    })  # fmt: skip
    assert "'properties.security.protocol' = 'SASL_SSL'," in kafka_options(settings)
    assert 'username="u" password="it\'\'s \\"x\\"";\',' in kafka_options(settings)
    assert elasticsearch_options(settings) == "'api-key' = 'key',"
    assert kafka_options(load({})) == elasticsearch_options(load({})) == ""
