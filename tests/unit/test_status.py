"""What a running job tells of itself, by Flink's REST API as it answers while one subtask has seen nothing yet."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from udfs.metrics import Metrics
from usher.cluster import FlinkRest, RestError, job_status

ADMIT, PYTHON, SINK = "admit_events.usher.", "personalize.usher.", "profiles__Writer.usher."
SUBTASKS: dict[str, Any] = {
    "admitted": [
        {f"{ADMIT}accepted": "40", f"{ADMIT}late": "1", f"{ADMIT}code.unknown_type.quarantined": "2"},
        {f"{ADMIT}accepted": "2", f"{ADMIT}late": "0", f"{ADMIT}code.unknown_type.quarantined": "1"},
    ],
    "answered": [
        {f"{PYTHON}rule.welcome.decisions": "5", f"{PYTHON}predictMicrosPerRow": "70"},
        {f"{PYTHON}rule.welcome.decisions": "6", f"{PYTHON}predictMicrosPerRow": "90"},
    ],
    "written": [
        {f"{SINK}freshnessMs_median": "800.5", f"{SINK}freshnessMs_p99": "1200", f"{SINK}documentsWritten": "7"},
        {f"{SINK}freshnessMs_median": "NaN", f"{SINK}freshnessMs_p99": "NaN", f"{SINK}documentsWritten": "0"},
    ],
}


def answer(address: str) -> Any:
    """As Flink 2.3 answers: values are strings, and of an empty histogram NaN."""
    path, query = urlsplit(address).path, parse_qs(urlsplit(address).query)
    if path == "/jobs/overview":
        return {"jobs": [{"jid": "j1", "name": "personalize", "state": "RUNNING", "start-time": 1}]}
    if path == "/jobs/j1/stop":
        return {"request-id": "r1"}
    if path == "/jobs/j1/savepoints/r1":
        return {"status": {"id": "COMPLETED"}, "operation": SUBTASKS["stopping"]}
    if path == "/jobs/j1":
        return {"vertices": [{"id": name, "parallelism": len(found)} for name, found in SUBTASKS.items()]}
    if path.endswith("/subtasks/metrics"):
        names = SUBTASKS[path.split("/")[4]][0]
        return [{"id": name} for name in (*names, "numRecordsIn")]
    vertex, subtask = path.split("/")[4], int(path.split("/")[6])
    values = SUBTASKS[vertex][subtask]
    return [{"id": name, "value": values[name]} for name in query["get"][0].split(",") if name in values]


@pytest.fixture
def flink() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *arguments: Any) -> None:
            """A test's output is no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_sums_of_counters_and_the_slowest_subtask(flink: str) -> None:
    assert job_status(flink) == {
        "job": "j1",
        "state": "RUNNING",
        **{"accepted": 42, "duplicate": 0, "late": 1, "quarantined": 3},
        **{"documentsWritten": 7, "alreadyNewer": 0, "retries": 0, "deadLetters": 0},
        "quarantined_by_code": {"unknown_type": 3},
        "decisions_by_rule": {"welcome": 11},
        "freshness_ms": {"p50": 800, "p99": 1200},
        "predict_micros_per_row": 90,
    }


def test_nothing_written_yet(flink: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUBTASKS, "written", [SUBTASKS["written"][1]] * 2)
    status = job_status(flink)
    assert status and status["freshness_ms"] == {"p50": 0, "p99": 0} and status["accepted"] == 42


def test_what_is_not_flink(flink: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "answer", lambda address: {"tagline": "You Know, for Search"})
    with pytest.raises(RestError, match="is not Flink: check USHER_FLINK"):
        FlinkRest(flink).jobs()


def test_a_job_that_cannot_be_stopped(flink: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RestError, match="runs no job j2: `flink list -r` shows which"):
        FlinkRest(flink).stop("j2", "file:///savepoints")
    trace = (
        "java.util.concurrent.CompletionException: no\n\tat a.b(C.java:1)\nCaused by: java.io.IOException: disk full"
    )
    failed = {"failure-cause": {"class": "java.util.concurrent.CompletionException", "stack-trace": trace}}
    monkeypatch.setitem(SUBTASKS, "stopping", failed)
    with pytest.raises(RestError, match=r"with a savepoint \(java.io.IOException: disk full\)"):
        FlinkRest(flink).stop("j1", "file:///savepoints")


class Group:
    """As much of PyFlink's metric group as is asked: gauges are read when a bundle ends."""

    def __init__(self) -> None:
        self.gauges: dict[str, Any] = {}

    def add_group(self, *names: str) -> "Group":
        return self

    def gauge(self, name: str, read: Any) -> None:
        self.gauges[name] = read


def test_the_model_latency_is_a_whole_number_that_prometheus_shows() -> None:
    """Of a `distribution` PyFlink makes a gauge of an object, which Prometheus' reporter takes for 0."""
    metrics = Metrics(group := Group())
    assert group.gauges["predictMicrosPerRow"]() == 0
    metrics.predicted(0.003, 10)
    assert group.gauges["predictMicrosPerRow"]() == 300
    assert isinstance(group.gauges["predictMicrosPerRow"](), int)
