"""`usher bench freshness`: from Kafka's append to the profile readable by id, at a steady rate and for a lone user."""

import tempfile
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from rich.progress import track

from usher.bench.load import bursts
from usher.demo import running_job, warm_up
from usher.freshness import FreshnessProbe
from usher.settings import load
from usher.stack import Stack, StackError

WARM_UP_S = 60
"""So long the JVM compiles the job on the same two cores, and profiles come half a second later."""
WATCH_EVERY = 100
"""One event in so many is watched: a realtime GET costs Elasticsearch as much as a write."""


def freshness(per_second: int, seconds: int, lone: int) -> dict[str, Any]:
    """Milliseconds, p50/p95/p99, at `per_second` for `seconds` after a warm-up, then `lone` single events."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        with running_job(settings, Path(home) / "job.log"), FreshnessProbe(stack.elasticsearch) as probe:
            warm_up(settings, probe)
            producer = KafkaProducer(bootstrap_servers=stack.kafka, linger_ms=5, acks="all")
            _steady(producer, probe, per_second, WARM_UP_S, seconds)
            steady = probe.percentiles() | {"samples": len(probe.samples_ms)}
            probe.samples_ms.clear()
            _lone(producer, probe, lone)
            producer.close()
            return {"per_second": per_second, "steady_ms": steady, "lone_ms": probe.percentiles() | {"samples": lone}}


def _steady(producer: KafkaProducer, probe: FreshnessProbe, per_second: int, warm: int, seconds: int) -> None:
    begin = int(time.time() * 1000) + 1000
    events = per_second * (warm + seconds)
    totals: dict[bytes, int] = {}
    for number, (due, key, value) in enumerate(
        track(bursts(events, 20_000, per_second, begin), "steady load", total=events, transient=True)
    ):
        ahead = due / 1000 - time.time()
        if ahead > 0.001:
            time.sleep(ahead)  # until this event is due
        now = time.time()
        producer.send("events", key=key, value=value, timestamp_ms=int(now * 1000))
        totals[key] = totals.get(key, 0) + 1
        if number > per_second * warm and number % WATCH_EVERY == 0:
            probe.expect(str(key, "utf-8"), totals[key], now)
    _await(probe)


def _lone(producer: KafkaProducer, probe: FreshnessProbe, times: int) -> None:
    time.sleep(5)  # the topic falls silent
    for number, (_, _, value) in enumerate(bursts(times, 1, 1, int(time.time() * 1000), seed=2), 1):
        text = value.replace(b"user-0", b"lone").replace(b'"message-', b'"lone-')
        now = time.time()
        producer.send("events", key=b"lone", value=text, timestamp_ms=int(now * 1000)).get(30)
        probe.expect("lone", number, now)
        _await(probe)
        time.sleep(4 + number % 10 / 10)  # silence again, at another place within the second


def _await(probe: FreshnessProbe) -> None:
    deadline = time.monotonic() + 60
    while probe.pending:
        if time.monotonic() > deadline:
            raise StackError(f"{probe.pending} events show in no profile after 60 s.")
        time.sleep(0.02)  # the probe looks on in a thread of its own
