"""Flink's REST API, as far as Usher asks it."""

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

TIMEOUT_S = 10


class RestError(RuntimeError):
    """Flink does not answer, or not with what was asked for."""


class FlinkRest:
    """`FlinkRest("http://127.0.0.1:8081").jobs()`."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """The JSON at a path like `/overview`."""
        try:
            with self._direct.open(self.address + path, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise RestError(f"Flink at {self.address} does not answer {path}: {error}.") from error

    def stop(self, job_id: str, savepoint_dir: str, patience_s: float = 120) -> str:
        """Stop the job with a savepoint; returns where that is."""
        if job_id not in [job["jid"] for job in self.jobs() if job["state"] == "RUNNING"]:
            raise RestError(f"Flink at {self.address} runs no job {job_id}: `flink list -r` shows which it runs.")
        body = json.dumps({"targetDirectory": savepoint_dir, "drain": False}).encode()
        request = urllib.request.Request(
            f"{self.address}/jobs/{job_id}/stop", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with self._direct.open(request, timeout=TIMEOUT_S) as answer:
                trigger = json.load(answer)["request-id"]
        except (OSError, ValueError, KeyError) as error:
            raise RestError(f"Flink at {self.address} does not stop job {job_id}: {error}.") from error
        deadline = time.monotonic() + patience_s
        while (state := self.get(f"/jobs/{job_id}/savepoints/{trigger}"))["status"]["id"] != "COMPLETED":
            if time.monotonic() > deadline:
                raise RestError(f"After {patience_s} s job {job_id} has no savepoint; it goes on running.")
            time.sleep(0.05)
        if "location" not in state["operation"]:
            reason = _deepest(state["operation"]["failure-cause"])
            raise RestError(
                f"Job {job_id} could not be stopped with a savepoint ({reason}): see whether it still runs."
            )
        return str(state["operation"]["location"])

    def jobs(self) -> list[dict[str, Any]]:
        """Each job with `jid`, `name`, `state`; the newest last."""
        found = self.get("/jobs/overview")
        if not isinstance(found, dict) or "jobs" not in found:
            raise RestError(f"What answers at {self.address} is not Flink: check USHER_FLINK.")
        return sorted(found["jobs"], key=lambda job: job["start-time"])

    def running(self, job_id: str) -> bool:
        """Whether every subtask of the job runs."""
        vertices = self.get(f"/jobs/{job_id}")["vertices"]
        return all(vertex["status"] == "RUNNING" for vertex in vertices)

    def metrics(self, job_id: str, wanted: str, largest: tuple[str, ...] = ()) -> dict[str, float]:
        """Each operator metric whose name holds `wanted`, by its full name, over all subtasks.

        Their sum; of one whose name holds any of `largest`, as quantiles, the largest. Flink would compute both, but
        makes NaN of all subtasks where one has seen nothing yet.
        """
        values: dict[str, list[float]] = {}
        for vertex in self.get(f"/jobs/{job_id}")["vertices"]:
            for name, value in self._values(f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks", vertex, wanted):
                values.setdefault(name, []).append(value)
        return {
            name: max(found) if any(part in name for part in largest) else sum(found) for name, found in values.items()
        }

    def _values(self, path: str, vertex: dict[str, Any], wanted: str) -> Iterator[tuple[str, float]]:
        names = [metric["id"] for metric in self.get(f"{path}/metrics") if wanted in metric["id"]]
        for subtask in range(vertex["parallelism"] if names else 0):
            for some in (names[at : at + 50] for at in range(0, len(names), 50)):
                query = urllib.parse.urlencode({"get": ",".join(some)})
                for metric in self.get(f"{path}/{subtask}/metrics?{query}"):
                    if math.isfinite(value := float(metric["value"])):  # an empty histogram's is NaN
                        yield metric["id"], value


def _deepest(cause: dict[str, str]) -> str:
    """What a Java exception, as Flink tells of it, has at the bottom."""
    causes = [line for line in cause.get("stack-trace", "").splitlines() if line.startswith("Caused by: ")]
    return (causes or [cause["class"]])[-1].removeprefix("Caused by: ")
