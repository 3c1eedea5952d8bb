"""`usher bench decide`: decisions and collected events a second, beside the bare Elasticsearch GET and an empty
endpoint of the same service, in the same run."""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk
from rich.progress import track

from usher.bench.http import Target, request, run
from usher.bench.load import templates
from usher.features import LIFETIME_COUNTERS, ONBOARDING_STEPS, PRODUCT_FEATURES, ROLLING_COUNTERS
from usher.model.reference import iso_of
from usher.settings import ROOT, load
from usher.stack import Stack
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics

KEYS = {"USHER_WRITE_KEY": "bench-write", "USHER_READ_KEY": "bench-read"}
ASKED = 5000
"""Distinct requests, each of another user."""
NEWCOMERS = 0.1
"""Of those who ask, the share without a profile: for them Elasticsearch is asked twice, the second time by their id of
before."""
BATCH = 100
USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
)


def decide(profiles: int, per_second: int, seconds: float) -> dict[str, Any]:
    """Latencies in milliseconds, rates a second, memory in MiB, and ratios to the bare GET and the empty endpoint."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        create_topics(stack.kafka)
        create_indices(stack.elasticsearch)
        _fill(stack.elasticsearch, profiles)
        with _serving(settings) as (port, pid):
            decisions, empty = Target("127.0.0.1", port, _decisions(profiles)), Target("127.0.0.1", port, [_EMPTY])
            bare = Target("127.0.0.1", urlsplit(stack.elasticsearch).port or 9200, _gets(profiles))
            collected = Target("127.0.0.1", port, _batches())
            run(decisions, "closed", 4, seconds / 2)  # warms the JIT and the caches of all three
            run(bare, "closed", 4, seconds / 2)
            result: dict[str, Any] = {"profiles": profiles, "workers": settings["service_workers"]}
            for name, target in (("bare_get", bare), ("empty", empty), ("decision", decisions)):
                result[name] = {
                    "open": run(target, "open", per_second, seconds),
                    "closed": run(target, "closed", 8, seconds),
                }
            result["collector"] = run(collected, "closed", 8, seconds)
            result["collector"]["events_s"] = round(result["collector"]["per_second"] * BATCH)
            result["worker_mib"] = max(_worker_mib(pid))
    decision, bare_get = result["decision"]["open"], result["bare_get"]["open"]
    result["newcomers"] = NEWCOMERS
    result["degraded"] = sum(result["decision"][loop]["degraded"] for loop in ("open", "closed"))
    result["p50_over_bare_get"] = round(decision["p50_ms"] / bare_get["p50_ms"], 2)
    result["p99_over_bare_get"] = round(decision["p99_ms"] / bare_get["p99_ms"], 2)
    result["p50_over_empty"] = round(decision["p50_ms"] / result["empty"]["open"]["p50_ms"], 2)
    return result


_EMPTY = request("GET", "/health")


def _decisions(profiles: int) -> list[bytes]:
    headers = {"X-API-Key": KEYS["USHER_READ_KEY"], "Content-Type": "application/json"}
    rng = random.Random(1)
    bodies = [
        {"context": {"targetingKey": _user(rng, number, profiles), "ip": "91.10.20.30", "userAgent": USER_AGENT}}
        for number in range(ASKED)
    ]
    return [request("POST", "/ofrep/v1/evaluate/flags", json.dumps(body).encode(), headers) for body in bodies]


def _user(rng: random.Random, number: int, profiles: int) -> str:
    return f"newcomer-{number}" if rng.random() < NEWCOMERS else f"user-{rng.randrange(profiles)}"


def _gets(profiles: int) -> list[bytes]:
    rng = random.Random(1)
    return [request("GET", f"/profiles/_doc/user-{rng.randrange(profiles)}") for _ in range(ASKED)]


def _batches() -> list[bytes]:
    headers = {"X-API-Key": KEYS["USHER_WRITE_KEY"], "Content-Type": "application/json"}
    texts, rng, found = templates(), random.Random(1), []
    now = iso_of(int(time.time() * 1000))
    for number in range(200):
        messages = []
        for index in range(BATCH):
            text = texts[rng.randrange(len(texts))].replace("@id", f"b{number}-{index}").replace("@time", now)
            messages.append(text.replace("@user", f"user-{rng.randrange(20_000)}"))
        found.append(request("POST", "/v1/batch", f'{{"batch":[{",".join(messages)}]}}'.encode(), headers))
    return found


def _fill(elasticsearch: str, profiles: int) -> None:
    with Elasticsearch(elasticsearch, request_timeout=60) as client:
        documents = ({"_index": "profiles", "_id": f"user-{n}", **_profile(n)} for n in range(profiles))
        for _ in track(streaming_bulk(client, documents, chunk_size=2000), "profiles", total=profiles, transient=True):
            pass
        client.indices.refresh(index="profiles")
        client.indices.forcemerge(index="profiles", max_num_segments=1)


def _profile(number: int) -> dict[str, Any]:
    rng, now = random.Random(number), iso_of(int(time.time() * 1000))
    counters = {
        name: rng.randrange(30) for name in (*LIFETIME_COUNTERS, *ROLLING_COUNTERS, "sessions_total", "active_ms")
    }
    shown = {"content": "default_welcome", "rule": "welcome_default", "reason": "DEFAULT"}
    return {
        "user_id": f"user-{number}",
        **dict.fromkeys(("first_seen", "last_seen", "updated_at"), now),
        **{"country": "DE", "continent": "EU", "device_type": "desktop", "os": "Windows", "browser": "Chrome"},
        **{"is_bot": False, "locale": "de-DE", **counters, "engagement_score": 50.0},
        "feature_counts": {name: rng.randrange(5) for name in PRODUCT_FEATURES},
        "preferences": dict.fromkeys(PRODUCT_FEATURES, 0.5),
        "steps": [*ONBOARDING_STEPS],
        "decisions": dict.fromkeys(("welcome_message", "next_step", "feature_highlight"), shown),
        **{"model_version": "bench", "rules_version": "bench"},
    }


@contextmanager
def _serving(settings: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """`usher serve` with its own number of workers; its port and pid."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environment = os.environ | KEYS | {f"USHER_{name.upper()}": settings[name] for name in ("kafka", "elasticsearch")}
    environment["USHER_RATE_EVENTS_S"] = environment["USHER_RATE_REQUESTS_S"] = "1000000"
    command = [sys.executable, "-m", "usher.cli", "serve", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            _await(port, process)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until a batch is taken: then the workers are up and have found Kafka."""
    body, deadline = json.dumps({"batch": []}).encode(), time.monotonic() + 60
    headers = {"X-API-Key": KEYS["USHER_WRITE_KEY"]}
    last: OSError | None = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/batch", body, headers)
            if urllib.request.urlopen(asked, timeout=5).status == 200:
                time.sleep(5)  # for the other workers, of whose being ready nothing tells
                return
        except OSError as error:
            last = error
            time.sleep(0.2)  # between two looks
    why = "did not take a batch within 60 s" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"The service {why}; the last answer: {last!r}.")


def _worker_mib(pid: int) -> list[float]:
    """Resident memory of each of the service's processes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    statuses = [Path(f"/proc/{child}/status").read_text() for child in children]
    return [round(int(text.partition("VmRSS:")[2].split()[0]) / 1024, 1) for text in statuses]
