"""What the running job tells of itself, in the words of docs/cluster.md."""

import time
from typing import Any

from usher.cluster._rest import FlinkRest

COUNTERS = (
    *("accepted", "duplicate", "late", "quarantined"),
    *("documentsWritten", "alreadyNewer", "retries", "deadLetters"),
)

LARGEST = ("freshnessMs", "predictMicrosPerRow")
"""Of these the slowest subtask's is told: a sum of them means nothing."""

FETCHED_S = 20
"""Longest wait for the first metrics of a running job."""


def job_status(address: str) -> dict[str, Any] | None:
    """State and metrics of the running job, else of the newest that was; None if there was none. Raises RestError."""
    rest = FlinkRest(address)
    jobs = [job for job in rest.jobs() if job["name"] == "personalize"]
    jobs = [job for job in jobs if job["state"] == "RUNNING"] or jobs
    if not jobs:
        return None
    found = _metrics(rest, jobs[-1])
    status: dict[str, Any] = {"job": jobs[-1]["jid"], "state": jobs[-1]["state"]}
    status |= {name: _sum(found, name) for name in COUNTERS}
    status["quarantined_by_code"] = _by(found, "code", "quarantined")
    status["decisions_by_rule"] = _by(found, "rule", "decisions")
    status["freshness_ms"] = {
        short: _most(found, f"freshnessMs_{long}") for short, long in (("p50", "median"), ("p99", "p99"))
    }
    status["predict_micros_per_row"] = _most(found, "predictMicrosPerRow")
    return status


def _metrics(rest: FlinkRest, job: dict[str, Any]) -> dict[str, float]:
    """The JobManager asks the TaskManagers only when somebody asks it, and answers with what it had before."""
    deadline = time.monotonic() + FETCHED_S
    while not (found := rest.metrics(job["jid"], ".usher.", LARGEST)) and job["state"] == "RUNNING":
        if time.monotonic() > deadline:
            return found
        time.sleep(0.5)
    time.sleep(1)  # the first answer may hold the metrics of one TaskManager and not yet of the other
    return rest.metrics(job["jid"], ".usher.", LARGEST)


def _sum(found: dict[str, float], counter: str) -> int:
    return int(sum(value for name, value in found.items() if name.endswith(f".{counter}")))


def _most(found: dict[str, float], gauge: str) -> int:
    return round(max((value for name, value in found.items() if name.endswith(gauge)), default=0))


def _by(found: dict[str, float], label: str, counter: str) -> dict[str, int]:
    """Counters with a label, as `….code.invalid_json.quarantined`, by its value."""
    totals: dict[str, int] = {}
    for name, value in found.items():
        head, _, last = name.rpartition(".")
        if last == counter and f".{label}." in head:
            key = head.rpartition(f".{label}.")[2]
            totals[key] = totals.get(key, 0) + int(value)
    return totals
