"""`usher bench upgrade`: how long nothing is processed while a job on a real cluster is replaced by its successor.

A steady load goes on all the while. The job's output topic is watched: the longest time in which it does not grow,
while the load is steady and while the upgrade is under way.
"""

import os
import subprocess
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from usher.bench.load import bursts
from usher.cluster import LocalCluster
from usher.run import prepare
from usher.settings import ROOT, load
from usher.stack import Stack, StackError

POLL_S = 0.05
WARM_UP_S = 30
PATIENCE_S = 240
SUBMIT = (
    'flink run -d -pyexec "$PYTHON" -pyclientexec "$PYTHON" -py jobs/personalize.py '
    "-j connectors/target/usher-connectors.jar"
)
"""Workers that have the Python environment already, as those of the image; `make dist` ships it instead."""


def upgrade(per_second: int) -> dict[str, Any]:
    """Seconds without output: at rest, and during the upgrade; and what the upgrade took in all."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack") as stack:
        home = Path(folder)
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        prepare(settings)
        with LocalCluster(home / "flink") as cluster, Load(stack.kafka, per_second), Watch(stack.kafka) as watch:
            variables = _variables(stack, cluster, home)
            _submit(variables)
            watch.await_output()
            time.sleep(WARM_UP_S)  # what is measured at rest is a stretch of time
            at_rest = watch.longest_gap(time.monotonic() - WARM_UP_S / 2)
            began = time.monotonic()
            old = cluster.rest.jobs()[-1]["jid"]
            _submit(variables | {"USHER_REPLACES": old, "USHER_SAVEPOINT_DIR": (home / "savepoints").as_uri()})
            watch.await_output()
            took = time.monotonic() - began
            time.sleep(WARM_UP_S / 2)  # a gap that ends after the first output would count as well
            return {
                "per_second": per_second,
                "at_rest_s": round(at_rest, 2),
                "no_processing_s": round(watch.longest_gap(began), 2),
                "upgrade_s": round(took, 2),
            }


def _variables(stack: Stack, cluster: LocalCluster, home: Path) -> dict[str, str]:
    return cluster.environment | {
        "HOME": os.environ["HOME"],
        "PYTHON": str(ROOT / ".venv/bin/python"),
        "PYTHONPATH": str(ROOT),
        "USHER_KAFKA": stack.kafka,
        "USHER_ELASTICSEARCH": stack.elasticsearch,
        "USHER_FLINK": cluster.rest.address,
        "USHER_CHECKPOINT_DIR": (home / "checkpoints").as_uri(),
        "USHER_DEAD_LETTERS": str(home / "dead-letters"),
    }


def _submit(variables: dict[str, str]) -> None:
    done = subprocess.run(["bash", "-c", SUBMIT], env=variables, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise StackError(f"The job was not submitted:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


class Load:
    """Events at a steady rate, from a thread, within `with`."""

    def __init__(self, kafka: str, per_second: int) -> None:
        self._producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=5, acks="all")
        self._per_second, self._stopped = per_second, threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopped.set()
        self._thread.join()
        self._producer.close()

    def _send(self) -> None:
        events = self._per_second * 3600
        for due, key, value in bursts(events, 20_000, self._per_second, int(time.time() * 1000)):
            if self._stopped.wait(max(0.0, due / 1000 - time.time())):
                return
            self._producer.send("events", key=key, value=value, timestamp_ms=int(time.time() * 1000))


class Watch:
    """When the topic `decisions` was seen to have grown, from a thread, within `with`."""

    def __init__(self, kafka: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=kafka)
        self._grown: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def await_output(self) -> None:
        """Until the topic grows again."""
        began = time.monotonic()
        while not self._grown or self._grown[-1] < began:
            if time.monotonic() - began > PATIENCE_S:
                raise StackError(f"After {PATIENCE_S} s the job has put out nothing.")
            time.sleep(POLL_S)

    def longest_gap(self, since: float) -> float:
        """The longest time between two growths, from `since` (monotonic) to now."""
        times = [since, *(at for at in self._grown if at >= since), time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(times))

    def _look(self) -> None:
        partitions = [TopicPartition("decisions", n) for n in self._consumer.partitions_for_topic("decisions") or ()]
        before = 0
        while not self._stopped.wait(POLL_S):
            if (now := sum(self._consumer.end_offsets(partitions).values())) > before:
                before = now
                self._grown.append(time.monotonic())
