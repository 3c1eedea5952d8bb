"""`usher bench throughput`: the full path against a bare `json` scan of the same topic, in steady state.

Each job runs in a process of its own, on all of the events and on their first quarter alone; what counts is the
difference. So neither start-up nor most of the JVM's warm-up (minutes of compiling on two cores) is in the figures. The
two take turns, each on a broker and an Elasticsearch of its own, so that a machine that slows down slows both.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from rich.progress import track

from usher.bench.load import Record, bursts
from usher.bench.where import recorded, shares
from usher.run import VERDICTS, counts, jvm_args, prepare
from usher.settings import ROOT, load
from usher.stack import Stack

JOBS = ("scan", "full")
WARM_UP = 4
"""One part in so many is for start-up and warm-up."""
ROUNDS = {"scan": 3, "full": 2}
"""Of so many runs the quickest counts: a scan is over in seconds, so that anything else on the machine shows; and the
first full run meets an Elasticsearch that has compiled nothing yet."""

SCAN = """
CREATE TABLE events (
    messageId STRING, type STRING, event STRING, userId STRING, anonymousId STRING, `timestamp` STRING,
    properties ROW<feature STRING>, context ROW<ip STRING, userAgent STRING, locale STRING>
) WITH (
    'connector' = 'kafka', 'topic' = 'events', 'properties.bootstrap.servers' = '{kafka}',
    'properties.group.id' = 'scan', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
    'format' = 'json'
)
"""


def throughput(events: int, users: int, per_second: int) -> dict[str, Any]:
    """Events a second of both jobs, their ratio, and the share of each operator in the full one's JVM time."""
    first = events // WARM_UP
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder, "first")) as one,
        Stack(Path(folder, "all")) as other,
    ):
        begin = int(time.time() * 1000) - events * 1000 // per_second - 10_000
        quarter, whole = (load() | {"kafka": at.kafka, "elasticsearch": at.elasticsearch} for at in (one, other))
        for settings, count in ((quarter, first), (whole, events)):
            prepare(settings)
            fill(settings["kafka"], bursts(count, users, per_second, begin), count)
        results: dict[str, Any] = {"events": events, "users": users}
        for job in JOBS:
            turns = track(range(ROUNDS[job]), f"running the {job} job on a quarter and on all", transient=True)
            rounds = [[_seconds(job, settings) for settings in (quarter, whole)] for _ in turns]
            first_s, all_s = map(min, zip(*rounds, strict=True))
            speed = round((events - first) / (all_s - first_s))
            results[job] = {"first_quarter_s": first_s, "all_s": all_s, "events_s": speed}
        found = counts(whole)
        if sum(found[verdict] for verdict in VERDICTS) != events:
            raise RuntimeError(f"The counts do not add up to {events}: {found}.")
        samples = Path(folder, "full.jfr")
        _seconds("full", whole, samples)
        ratio = round(results["full"]["events_s"] / results["scan"]["events_s"], 3)
        return results | {"ratio": ratio, "where_the_time_goes": shares(samples), "counts": found}


def fill(kafka: str, records: Iterator[Record], count: int) -> None:
    """The records, `count` of them, go to the topic."""
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=50, batch_size=512 * 1024, acks="all")
    for record_time, key, value in track(records, f"filling the topic: {count:,} events", total=count, transient=True):
        producer.send("events", key=key, value=value, timestamp_ms=record_time)
    producer.flush()
    producer.close()


def _forget(settings: dict[str, Any]) -> None:
    """No profiles: a document that is already there would be refused as old, which costs less than writing it."""
    with Elasticsearch(settings["elasticsearch"]) as elasticsearch:
        for alias in ("profiles", "ingest"):
            for index in elasticsearch.indices.get_alias(name=alias):
                elasticsearch.indices.delete(index=index)
    prepare(settings)


def _seconds(job: str, settings: dict[str, Any], *samples: Path) -> float:
    """What a run of the job takes that finds no profiles yet."""
    _forget(settings)
    environment = os.environ | {f"USHER_{name.upper()}": settings[name] for name in ("kafka", "elasticsearch")}
    environment |= {"JVM_ARGS": jvm_args(settings)}
    command = [sys.executable, "-m", "usher.bench.throughput", job, *map(str, samples)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"The {job} job failed:\n{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _job(job: str, samples: Path | None = None) -> dict[str, Any]:
    """Runs in a process of its own; `samples` is where the JVM's profile goes, if one is wanted."""
    sys.path.insert(0, str(ROOT))
    from pyflink.table import EnvironmentSettings, TableEnvironment

    from jobs.personalize import build, configuration

    def run() -> Any:
        return submit().get_job_execution_result().result()

    settings = load()
    if job == "full":
        stream_env = build(settings, bounded=True)

        def submit() -> Any:
            return stream_env.execute_async("personalize")

    else:
        environment = EnvironmentSettings.new_instance().in_streaming_mode()
        table_env = TableEnvironment.create(environment.with_configuration(configuration(settings)).build())
        table_env.execute_sql(SCAN.format(kafka=settings["kafka"]))
        table_env.execute_sql("CREATE TABLE nowhere WITH ('connector' = 'blackhole') LIKE events (EXCLUDING OPTIONS)")
        inserts = table_env.create_statement_set()
        inserts.add_insert_sql("INSERT INTO nowhere SELECT * FROM events")

        def submit() -> Any:
            return inserts.execute().get_job_client()

    result = recorded(run, samples) if samples else run()
    return {"seconds": result.get_net_runtime() / 1000}


if __name__ == "__main__":
    print(json.dumps(_job(sys.argv[1], *map(Path, sys.argv[2:]))))
