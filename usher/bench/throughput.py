"""`usher bench throughput`: the full path against a bare `json` scan of the same topic, start-up subtracted.

Each job runs in a process of its own, once on the empty topic (its start-up) and once on the full one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from rich.progress import track

from usher.bench.load import bursts
from usher.run import VERDICTS, counts, prepare
from usher.settings import ROOT, load
from usher.stack import Stack

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
    """Events a second of both jobs, and their ratio."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        prepare(settings)
        startup = {job: _run(job, settings)["seconds"] for job in ("scan", "full")}
        fill(stack.kafka, events, users, per_second)
        results: dict[str, Any] = {"events": events, "users": users}
        for job in ("scan", "full"):
            seconds = _run(job, settings)["seconds"] - startup[job]
            results[job] = {
                "startup_s": startup[job],
                "seconds": round(seconds, 2),
                "events_s": round(events / seconds),
            }
        found = counts(settings)
        if sum(found[verdict] for verdict in VERDICTS) != events:
            raise RuntimeError(f"The counts do not add up to {events}: {found}.")
        return results | {"ratio": round(results["full"]["events_s"] / results["scan"]["events_s"], 3), "counts": found}


def fill(kafka: str, events: int, users: int, per_second: int) -> None:
    """Bursts that end now, in window time."""
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=50, batch_size=512 * 1024, acks="all")
    begin = int(time.time() * 1000) - events * 1000 // per_second - 10_000
    for record_time, key, value in track(
        bursts(events, users, per_second, begin), "filling the topic", total=events, transient=True
    ):
        producer.send("events", key=key, value=value, timestamp_ms=record_time)
    producer.flush()
    producer.close()


def _run(job: str, settings: dict[str, Any]) -> dict[str, Any]:
    environment = os.environ | {f"USHER_{name.upper()}": settings[name] for name in ("kafka", "elasticsearch")}
    command = [sys.executable, "-m", "usher.bench.throughput", job]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"The {job} job failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _job(job: str) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    from pyflink.table import EnvironmentSettings, TableEnvironment

    from jobs.personalize import build, configuration

    settings = load()
    if job == "full":
        result = build(settings, bounded=True).execute()
    else:
        environment = EnvironmentSettings.new_instance().in_streaming_mode()
        table_env = TableEnvironment.create(environment.with_configuration(configuration(settings)).build())
        table_env.execute_sql(SCAN.format(kafka=settings["kafka"]))
        table_env.execute_sql("CREATE TABLE nowhere WITH ('connector' = 'blackhole') LIKE events (EXCLUDING OPTIONS)")
        result = table_env.execute_sql("INSERT INTO nowhere SELECT * FROM events")
    runtime = result.get_job_client().get_job_execution_result().result().get_net_runtime()
    return {"seconds": runtime / 1000}


if __name__ == "__main__":
    print(json.dumps(_job(sys.argv[1])))
