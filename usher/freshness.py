"""How long after Kafka accepted an event its profile, read by id, shows it."""

import threading
import time
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch

POLL_S = 0.05


class FreshnessProbe:
    """Watches profiles until they show what was sent: `probe.expect("u1", 3, now)` within `with`."""

    def __init__(self, elasticsearch: str) -> None:
        self._client = Elasticsearch(elasticsearch)
        self._pending: dict[str, list[tuple[int, float]]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._failure: Exception | None = None
        self.samples_ms: list[float] = []

    def expect(self, user_key: str, events_total: int, accepted_at: float) -> None:
        """The profile will show `events_total` for an event that Kafka accepted at `accepted_at` (seconds)."""
        with self._lock:
            self._pending.setdefault(user_key, []).append((events_total, accepted_at))

    @property
    def pending(self) -> int:
        """Events that no profile shows yet."""
        if self._failure is not None:
            raise self._failure
        return sum(map(len, self._pending.values()))

    def percentiles(self) -> dict[str, float]:
        """p50, p95, p99 in milliseconds."""
        return {f"p{q}": round(float(np.percentile(self.samples_ms, q)), 1) for q in (50, 95, 99)}

    def __enter__(self) -> "FreshnessProbe":
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        try:
            while not self._stopped.wait(POLL_S):
                with self._lock:
                    users = list(self._pending)
                if users:
                    self._read(users)
        except Exception as error:  # handed to whoever asks for `pending`
            self._failure = error

    def _read(self, users: list[str]) -> None:
        documents = self._client.mget(index="profiles", ids=users, source_includes=["events_total"])["docs"]
        now = time.time()
        for document in documents:
            total = document["_source"]["events_total"] if document.get("found") else 0
            with self._lock:
                waiting = self._pending[document["_id"]]
                self.samples_ms += [(now - at) * 1000 for expected, at in waiting if expected <= total]
                left = [(expected, at) for expected, at in waiting if expected > total]
                if left:
                    self._pending[document["_id"]] = left
                else:
                    del self._pending[document["_id"]]
