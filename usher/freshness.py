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
        self._owners: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._failure: Exception | None = None
        self.samples_ms: list[float] = []

    def expect(self, user_key: str, events_total: int, accepted_at: float) -> None:
        """The profile will show `events_total` for an event that Kafka accepted at `accepted_at` (seconds)."""
        with self._lock:
            self._pending.setdefault(user_key, []).append((events_total, accepted_at))

    def follow(self, user_key: str, owner: str) -> None:
        """From now on what `user_key` did may show in the profile of its owner instead."""
        with self._lock:
            self._owners[user_key] = owner

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
        owners = {user: self._owners.get(user, user) for user in users}
        ids = [*{*users, *owners.values()}]
        documents = self._client.mget(index="profiles", ids=ids, source_includes=["events_total"])["docs"]
        now = time.time()
        totals = {found["_id"]: found["_source"]["events_total"] for found in documents if found.get("found")}
        for user, owner in owners.items():
            total = max(totals.get(user, 0), totals.get(owner, 0))
            with self._lock:
                waiting = self._pending[user]
                self.samples_ms += [(now - at) * 1000 for expected, at in waiting if expected <= total]
                left = [(expected, at) for expected, at in waiting if expected > total]
                if left:
                    self._pending[user] = left
                else:
                    del self._pending[user]
