"""The service as `usher serve` runs it, what it writes to Kafka, and profiles to ask it about."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from kafka import KafkaConsumer, TopicPartition
from waiting import until

from usher.features import LIFETIME_COUNTERS, ROLLING_COUNTERS
from usher.model.reference import iso_of
from usher.service.people import People
from usher.service.privacy import Pseudonyms
from usher.settings import ROOT
from usher.stack import Stack

WRITE, READ, ADMIN = (f"{role}-{secrets.token_hex(8)}" for role in ("write", "read", "admin"))

GROUP = "usher-service-tests"
"""No job of another test commits under this name."""

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1"
GERMANY, USA = "91.10.20.30", "8.8.8.8"


class Service(NamedTuple):
    """A running service; `write`, `read` and `admin` are clients that hold its keys."""

    url: str
    write: httpx.Client
    read: httpx.Client
    admin: httpx.Client
    nobody: httpx.Client
    log: Path
    pid: int


@contextmanager
def serving(kafka: str, elasticsearch: str, folder: Path, **settings: str) -> Iterator[Service]:
    """`usher serve` in a process group of its own; ends, and is asserted to end well, with the block."""
    port = free_port()
    log = folder / f"serve-{port}.log"
    keys = {"USHER_WRITE_KEY": WRITE, "USHER_READ_KEY": READ, "USHER_ADMIN_KEY": ADMIN}
    settings = {"kafka": kafka, "elasticsearch": elasticsearch, "service_keys": str(folder / "none.json")} | settings
    environment = os.environ | keys | {f"USHER_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "usher.cli", "serve", "--port", str(port), "--workers", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    clients = [
        httpx.Client(base_url=url, headers=headers, timeout=30)
        for headers in ({"X-API-Key": WRITE}, {"X-API-Key": READ}, {"X-API-Key": ADMIN}, {})
    ]
    try:
        until(lambda: answers(clients[3], process, log), 60, "the service to answer")
        yield Service(url, *clients, log, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        for client in clients:
            client.close()


def answers(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Topic:
    """What reaches a topic from now on."""

    def __init__(self, bootstrap: str, topic: str = "events") -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=500)
        partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(partitions)
        self._consumer.seek_to_end()
        for partition in partitions:
            self._consumer.position(partition)

    def records(self, count: int, seconds: float = 20) -> list[Any]:
        """The next `count` records, in the order of their partitions."""
        found: list[Any] = []
        deadline = time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records after {seconds} s"
            for batch in self._consumer.poll(timeout_ms=200).values():
                found += batch
        return found

    def silent(self) -> bool:
        """Nothing more has come."""
        return not self._consumer.poll(timeout_ms=500)


def profile(user_id: str, **fields: Any) -> dict[str, Any]:
    now = iso_of(int(time.time() * 1000))
    counters = dict.fromkeys((*LIFETIME_COUNTERS, *ROLLING_COUNTERS, "sessions_total", "active_ms"), 0)
    times = dict.fromkeys(("first_seen", "last_seen", "updated_at"), now)
    return {"user_id": user_id, **times, **counters, "feature_counts": {}} | fields


def logins(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"bootstrap_servers": stack.kafka}, {"hosts": [stack.elasticsearch]}


def people(stack: Stack, folder: Path, pseudonyms: Pseudonyms | None = None) -> People:
    """With dead letters of their own, and a job that never ran."""
    return People(*logins(stack), pseudonyms or Pseudonyms([]), {"group_id": GROUP, "dead_letters": str(folder)})


def ask(service: Service, slot: str, context: dict[str, Any], **headers: str) -> dict[str, Any]:
    """What a slot shows."""
    answer = service.read.post(f"/ofrep/v1/evaluate/flags/{slot}", json={"context": context}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
