"""`flink run` of what cannot work: a sentence soon, no stack trace of Java's or Python's, and exit code 1.

No cluster is needed: the job is refused before anything is submitted.
"""

import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from kafka.admin import KafkaAdminClient
from typed import Shell, block, is_sentence
from waiting import until

from usher.cluster import LocalCluster
from usher.dist import dist
from usher.settings import ROOT
from usher.stack import Stack
from usher.stack.topics import create_topics

SUBMIT = block("cluster.md", "submit")


@pytest.fixture
def shell(fresh: Stack, tmp_path: Path) -> Shell:
    shipped = ROOT / "build" / "dist"
    dist(shipped)
    path = LocalCluster(tmp_path).environment["PATH"]
    return Shell(
        DIST=str(shipped),
        PATH=f"{path}:{Path(sys.executable).parent}",
        FLINK_LOG_DIR=str(tmp_path),
        USHER_KAFKA=fresh.kafka,
        USHER_ELASTICSEARCH=fresh.elasticsearch,
        USHER_CHECKPOINT_DIR=tmp_path.as_uri(),
        USHER_DEAD_LETTERS=str(tmp_path),
    )


def said(shell: Shell, sentence: str, commands: str = SUBMIT, **variables: str) -> bool:
    began = time.monotonic()
    output = shell.refused(commands, **variables)
    print(f"{time.monotonic() - began:.1f} s: {output.strip()[-300:]}")
    assert is_sentence(output) and output.count(sentence) == 1, output
    return True


def test_wrong_addresses(shell: Shell) -> None:
    assert said(shell, "Kafka at 127.0.0.1:1 does not answer (Connection refused)", USHER_KAFKA="127.0.0.1:1")
    nowhere = "http://127.0.0.1:1"
    assert said(shell, f"Elasticsearch at {nowhere} does not answer", USHER_ELASTICSEARCH=nowhere)


def test_refused_login(shell: Shell, refusing: str) -> None:
    login = {"USHER_ELASTICSEARCH_USER": "usher", "USHER_ELASTICSEARCH_PASSWORD": "guess-4711"}
    assert said(shell, "does not accept the login: check USHER_ELAST", USHER_ELASTICSEARCH=refusing, **login)


def test_missing_topic(shell: Shell, fresh: Stack) -> None:
    admin = KafkaAdminClient(bootstrap_servers=fresh.kafka)
    admin.delete_topics(["events_late"])
    until(lambda: "events_late" not in admin.list_topics(), 30, "the topic to be gone")
    admin.close()
    assert said(shell, "has no topic events_late: create what is missing with `usher setup`")
    create_topics(fresh.kafka)


def test_bad_settings_and_arguments(shell: Shell) -> None:
    assert said(shell, "parallelism = 300 must be at most max_parallelism", USHER_PARALLELISM="300")
    assert said(shell, "argument --only: invalid choice: 'decisions'", SUBMIT.rstrip() + " --only decisions")


@pytest.fixture
def refusing() -> Iterator[str]:
    """An Elasticsearch that knows nobody."""

    class Door(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(401)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.end_headers()

        do_GET = do_HEAD

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
