"""What is amiss is said in sentences before the job starts: on the real servers, and on a port where nobody is."""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from kafka.admin import KafkaAdminClient
from waiting import until

from usher.access import AccessError, check_access, elasticsearch_options, kafka_options
from usher.settings import load
from usher.stack import Stack, indices
from usher.stack._servers import HOST, Kafka, free_port
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics


def problems(settings: dict[str, Any]) -> list[str]:
    began = time.monotonic()
    with pytest.raises(AccessError) as refused:
        check_access(settings)
    assert time.monotonic() - began < 30  # the promise to the operator, not a measure of speed
    return str(refused.value).splitlines()


@pytest.fixture
def reached(stack: Stack) -> dict[str, Any]:
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    return load({"USHER_KAFKA": stack.kafka, "USHER_ELASTICSEARCH": stack.elasticsearch})


def test_all_is_well(reached: dict[str, Any]) -> None:
    check_access(reached)


def test_nobody_there(reached: dict[str, Any]) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        nowhere = f"{HOST}:{unused.getsockname()[1]}"
        kafka, elasticsearch = problems(reached | {"kafka": nowhere, "elasticsearch": f"http://{nowhere}"})
    assert kafka.startswith(f"Kafka at {nowhere} does not answer") and "USHER_KAFKA" in kafka
    assert elasticsearch.startswith(f"Elasticsearch at http://{nowhere} does not answer")


def test_missing_topic_and_index(reached: dict[str, Any]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=reached["kafka"])
    admin.delete_topics(["events_late"])
    until(lambda: "events_late" not in admin.list_topics(), 30, "the topic to be gone")
    admin.close()
    with Elasticsearch(reached["elasticsearch"]) as client:
        client.indices.delete(index=list(client.indices.get_alias(name="ingest")))
    kafka, elasticsearch = problems(reached)
    assert kafka == f"Kafka at {reached['kafka']} has no topic events_late: create what is missing with `usher setup`."
    assert elasticsearch.endswith("has no index ingest: create what is missing with `usher setup`.")


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


def test_the_command_ends_in_that_sentence() -> None:
    variables = {"USHER_KAFKA": f"{HOST}:1", "USHER_ELASTICSEARCH": f"http://{HOST}:1", "PATH": ""}
    command = [sys.executable, "-m", "usher.cli", "check"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    for server in (f"Kafka at {HOST}:1", f"Elasticsearch at http://{HOST}:1"):
        assert f"{server} does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_kafka_password(reached: dict[str, Any], tmp_path: Path) -> None:
    with broker_with_password(tmp_path) as address:
        login = {"kafka_security": "SASL_PLAINTEXT", "kafka_user": "usher", "kafka": address}
        (wrong,) = problems(reached | login | {"kafka_password": "guess-4711"})
        assert wrong.startswith(f"Kafka at {address} is there but does not accept the login by SASL_PLAINTEXT")
        assert "USHER_KAFKA_PASSWORD" in wrong and "4711" not in wrong
        (right,) = problems(reached | login | {"kafka_password": "right"})
        assert "has no topic events," in right


@pytest.mark.parametrize(
    ("password", "path", "said"),
    [("guess-4711", "/", "does not accept the login"), ("right", "/_bulk", "does not let us write to profiles")],
)
def test_elasticsearch_login_and_rights(reached: dict[str, Any], password: str, path: str, said: str) -> None:
    login = {"elasticsearch_user": "usher", "elasticsearch_password": password}
    with guarded(path) as address:
        told = problems(reached | login | {"elasticsearch": address})
    assert any(said in line for line in told) and "4711" not in "".join(told)


def test_options_of_the_tables_hold_the_logins() -> None:
    settings = load({
        "USHER_KAFKA_SECURITY": "SASL_SSL", "USHER_KAFKA_USER": "u", "USHER_KAFKA_PASSWORD": "it's \"x\"",
        "USHER_KAFKA_CA": "/ca.pem", "USHER_ELASTICSEARCH_API_KEY": "key",
    })  # fmt: skip
    assert "'properties.security.protocol' = 'SASL_SSL'," in kafka_options(settings)
    assert 'username="u" password="it\'\'s \\"x\\"";\',' in kafka_options(settings)
    assert elasticsearch_options(settings) == "'api-key' = 'key',"
    assert kafka_options(load({})) == elasticsearch_options(load({})) == ""


@contextmanager
def broker_with_password(home: Path) -> Iterator[str]:
    """A real broker whose clients say who they are."""
    plan = Kafka().prepare(home)
    config, port = home / "kafka" / "server.properties", free_port(0)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    text = config.read_text().replace("listeners=PLAINTEXT", f"listeners=SASL_PLAINTEXT://{HOST}:{port},PLAINTEXT")
    text = text.replace("PLAINTEXT:PLAINTEXT,", "SASL_PLAINTEXT:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT,")
    text += "sasl.enabled.mechanisms=PLAIN\n"
    text += f'listener.name.sasl_plaintext.plain.sasl.jaas.config={login} user_usher="right";\n'
    config.write_text(text)
    log = home / "kafka.log"
    with log.open("wb") as out, subprocess.Popen(plan["command"], cwd=plan["cwd"], stdout=out, stderr=out) as broker:
        try:
            until(lambda: broker.poll() is not None or Kafka.ready(plan["state"], log), 60, "the broker")
            assert broker.poll() is None, log.read_text()[-3000:]
            yield f"{HOST}:{port}"
        finally:
            broker.kill()


@contextmanager
def guarded(forbidden: str) -> Iterator[str]:
    """What Elasticsearch with security answers: 401 to a wrong password, 403 at the path that is forbidden.

    The node of the embedded stack has no security module: none is published as a jar.
    """
    right = "Basic " + base64.b64encode(b"usher:right").decode()

    class Door(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.headers.get("Authorization") == right
            self.send_response(401 if not known else 403 if self.path.startswith(forbidden) else 200)
            for name, value in (("X-Elastic-Product", "Elasticsearch"), ("Content-Type", "application/json")):
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else b"{}")

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            """A test's output is no access log."""

    with ThreadingHTTPServer((HOST, 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()
