"""`usher bench memory`: how much memory the whole job holds while so many users are active."""

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from rich.progress import Progress

from usher.bench.load import record, templates
from usher.demo import running_job, warm_up
from usher.freshness import FreshnessProbe
from usher.settings import load
from usher.stack import Stack, StackError

BACKENDS = ("hashmap", "rocksdb")
EVENTS_EACH = 6
"""As many events a user as arrive in a tile or two."""
CATCH_UP_S = 300
GIB = 2**30


def memory(users: int) -> dict[str, Any]:
    """Peak resident GiB of the JVM and of the Python processes, per state backend, with `users` in half an hour."""
    return {"users": users} | {backend: _of(users, backend) for backend in BACKENDS}


def _of(users: int, backend: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch, "state_backend": backend}
        with running_job(settings, Path(home) / "job.log") as job, FreshnessProbe(stack.elasticsearch) as probe:
            warm_up(settings, probe)
            with Resident(job.pid) as resident:
                _send(stack.kafka, users)
                _await_profiles(stack.elasticsearch, users)
            return resident.peak()


def _send(kafka: str, users: int) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=50, batch_size=256 * 1024, acks="all")
    texts = templates()
    with Progress(transient=True) as progress:
        task = progress.add_task(f"events of {users:,} users", total=users)
        for user in range(users):
            for n in range(EVENTS_EACH):
                number = user * EVENTS_EACH + n
                now = int(time.time() * 1000)
                _, key, value = record(texts[number % len(texts)], number, now, user)
                producer.send("events", key=key, value=value, timestamp_ms=now)
            progress.advance(task)
    producer.flush()
    producer.close()


def _await_profiles(elasticsearch: str, users: int) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    with Elasticsearch(elasticsearch) as client, Progress(transient=True) as progress:
        task = progress.add_task("profiles", total=users)
        while (written := client.count(index="profiles", query={"prefix": {"user_id": "user-"}})["count"]) < users:
            progress.update(task, completed=written)
            if time.monotonic() > deadline:
                raise StackError(f"Only {written} of {users} profiles are there after {CATCH_UP_S} s.")
            time.sleep(0.5)  # between two looks


class Resident:
    """Watches the resident memory of a process group, twice a second."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._peak = {"jvm_gib": 0.0, "python_gib": 0.0, "all_gib": 0.0}

    def __enter__(self) -> "Resident":
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopped.set()
        self._thread.join()

    def peak(self) -> dict[str, float]:
        """GiB: of the JVM, of the Python processes, and of all at one moment."""
        return {name: round(value, 2) for name, value in self._peak.items()}

    def _watch(self) -> None:
        while not self._stopped.wait(0.5):
            sizes = {"jvm_gib": 0.0, "python_gib": 0.0}
            for name, size in processes(self._group).values():
                sizes["jvm_gib" if name == "java" else "python_gib"] += size / GIB
            sizes["all_gib"] = sum(sizes.values())
            self._peak = {name: max(value, sizes[name]) for name, value in self._peak.items()}


def processes(group: int) -> dict[int, tuple[str, int]]:
    """By pid, name and resident bytes of each process in the group or begun by one of it (Linux's /proc)."""
    found, parents, groups = {}, {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        pid, name = int(folder.name), text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        parents[pid], groups[pid] = int(fields[1]), int(fields[2])
        found[pid] = (name, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))

    def belongs(pid: int) -> bool:
        while pid in groups:
            if groups[pid] == group:
                return True
            pid = parents[pid]
        return False

    return {pid: found[pid] for pid in found if belongs(pid)}
