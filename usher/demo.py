"""`make demo`: servers, job and newcomers, end to end, and what came of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from rich.console import Console
from rich.progress import Progress

from usher.freshness import FreshnessProbe
from usher.model.reference import iso_of, millis_of
from usher.profile import explained
from usher.run import VERDICTS, counts, prepare
from usher.settings import ROOT, load
from usher.simulator import mess, record_of, simulate
from usher.stack import Stack, StackError

OUT = ROOT / "build" / "demo"
MESS = 0.04
CATCH_UP_S = 90
HANDED_ON = ("kafka", "elasticsearch", "state_backend")
"""Settings that the job in its own process takes from the caller."""


def demo(users: int, seconds: int, seed: int) -> dict[str, Any]:
    """Run it all; returns what is left in `build/demo/summary.json`."""
    console = Console()
    OUT.mkdir(parents=True, exist_ok=True)
    stack = Stack(OUT / "stack")
    stack.down(wipe=True)
    with console.status("starting Kafka and Elasticsearch"):
        stack.up()
    try:
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        console.print(f"Kafka {stack.kafka}, Elasticsearch {stack.elasticsearch}")
        with running_job(settings, OUT / "job.log"), FreshnessProbe(stack.elasticsearch) as probe:
            with console.status("starting the job on Flink's minicluster"):
                warm_up(settings, probe)
            send(settings["kafka"], probe, users, seconds, seed)
            with console.status("waiting for the last profiles"):
                await_all(settings, probe)
        summary = counts(settings) | {"freshness_ms": probe.percentiles()}
        (OUT / "summary.json").write_text(json.dumps(summary, indent=2))
        report(console, settings["elasticsearch"], summary)
        return summary
    finally:
        stack.down()


@contextmanager
def running_job(settings: dict[str, Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The unbounded job in a process group of its own, which is gone afterwards."""
    prepare(settings)
    environment = os.environ | {f"USHER_{name.upper()}": settings[name] for name in HANDED_ON}
    command = [sys.executable, "-m", "usher.cli", "run", "personalize"]
    with log.open("wb") as output:
        job = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
    try:
        yield job
        if job.poll() is not None:
            raise StackError(f"The job stopped by itself; its log {log} says why.")
    finally:
        try:
            os.killpg(job.pid, signal.SIGTERM)
            job.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
        except ProcessLookupError:
            job.wait()


def warm_up(settings: dict[str, Any], probe: FreshnessProbe) -> None:
    """One first visitor; their profile shows that the job runs. Not part of the freshness figures."""
    producer = KafkaProducer(bootstrap_servers=settings["kafka"])
    message = next(iter(simulate(1, 0, datetime.now(UTC) - timedelta(minutes=1), timedelta(minutes=1))))
    _, key, value = record_of(message | {"timestamp": iso_of(int(time.time() * 1000))})
    assert key is not None  # a simulated message always names its user
    producer.send("events", key=key, value=value).get(30)
    producer.close()
    probe.expect(str(key, "utf-8"), 1, time.time())
    _await_pending(probe, 180)
    probe.samples_ms.clear()


def send(bootstrap: str, probe: FreshnessProbe, users: int, seconds: int, seed: int) -> None:
    """Days of newcomers within seconds, with some mess among them, at their time."""
    days = timedelta(days=2)
    messages = list(simulate(users, seed, datetime.now(UTC) - days, days))
    first, last = millis_of(messages[0]["timestamp"]), millis_of(messages[-1]["timestamp"])
    begin = int(time.time() * 1000) + 500
    for message in messages:
        due = begin + (millis_of(message["timestamp"]) - first) * seconds * 1000 // max(1, last - first)
        message |= {"timestamp": iso_of(due), "receivedAt": iso_of(due)}
        message["sentAt"] = None
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    people = People(probe)
    seen: set[bytes] = set()
    due = begin
    with Progress(transient=True) as progress:
        task = progress.add_task(f"sending {len(messages):,} events of {users} newcomers", total=len(messages))
        for record_time, key, value in mess(messages, seed, MESS):
            late = record_time < due - 60_000
            due = max(due, record_time)
            time.sleep(max(0.0, due / 1000 - time.time()))
            now = int(time.time() * 1000)
            producer.send("events", key=key, value=value, timestamp_ms=record_time if late else now)
            if key is not None and not late and value not in seen:
                seen.add(value)
                probe.expect(str(key, "utf-8"), people.did(str(key, "utf-8"), value), now / 1000)
                progress.advance(task)
    producer.flush()
    producer.close()


class People:
    """How many events each newcomer has, under all their ids, as they are sent."""

    def __init__(self, probe: FreshnessProbe) -> None:
        self._probe = probe
        self._owners: dict[str, str] = {}
        self._totals: Counter[str] = Counter()

    def did(self, key: str, value: bytes) -> int:
        """One more event of a user key; all of its owner so far."""
        message = json.loads(value)
        if message["type"] == "identify" and message["anonymousId"] not in self._owners:
            anonymous = message["anonymousId"]
            self._owners[anonymous] = key
            self._totals[key] += self._totals.pop(anonymous, 0)
            self._probe.follow(anonymous, key)
        owner = self._owners.get(key, key)
        self._totals[owner] += 1
        return self._totals[owner]


def await_all(settings: dict[str, Any], probe: FreshnessProbe) -> None:
    """Until every profile shows what was sent and the counts add up."""
    _await_pending(probe, CATCH_UP_S)
    deadline = time.monotonic() + CATCH_UP_S
    while (found := counts(settings))["read"] != sum(found[verdict] for verdict in VERDICTS):
        if time.monotonic() > deadline:
            raise StackError(f"After {CATCH_UP_S} s the counts do not add up: {found}. See {OUT / 'job.log'}.")
        time.sleep(0.2)


def _await_pending(probe: FreshnessProbe, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while probe.pending:
        if time.monotonic() > deadline:
            raise StackError(f"After {seconds} s {probe.pending} events show in no profile. See {OUT / 'job.log'}.")
        time.sleep(0.1)


def report(console: Console, elasticsearch: str, summary: dict[str, Any]) -> None:
    """What a newcomer to Usher wants to see."""
    console.rule("what happened")
    parts = " + ".join(f"{summary[verdict]:,} {verdict}" for verdict in VERDICTS)
    console.print(f"{summary['read']:,} events read = {parts}")
    fresh = summary["freshness_ms"]
    console.print(
        f"{summary['profiles']:,} profiles; an event is in its profile after p50 {fresh['p50']:,.0f} ms, "
        f"p95 {fresh['p95']:,.0f} ms, p99 {fresh['p99']:,.0f} ms"
    )
    console.rule("three of the newcomers")
    with Elasticsearch(elasticsearch) as client:
        for continent, device in (("EU", "mobile"), ("NA", "desktop"), ("AS", None)):
            wanted = [{"term": {"continent": continent}}, *([{"term": {"device_type": device}}] if device else [])]
            found = client.search(
                index="profiles", query={"bool": {"filter": wanted}}, sort=["events_total:desc"], size=1
            )
            for hit in found["hits"]["hits"]:
                console.print(explained(hit["_source"]))
