"""Rates per key: a token bucket that holds one second's worth."""

import math
import time

from usher.service.problems import Problem


class Rates:
    """`rates.take("key", 5)` takes five, or raises 429 with the seconds to wait. Each worker has its own."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, count: int = 1, now: float | None = None) -> None:
        """`now` in seconds, of a clock that only goes forward. A request over the rate by itself passes when full."""
        now = time.monotonic() if now is None else now
        tokens, before = self._buckets.get(key, (self._per_second, now))
        tokens = min(self._per_second, tokens + (now - before) * self._per_second)
        wanted = min(count, self._per_second)
        if tokens < wanted:
            wait_s = math.ceil((wanted - tokens) / self._per_second)
            detail = f"This key may ask for {self._per_second:g} a second of each worker: slow down."
            raise Problem(429, detail, headers={"Retry-After": str(wait_s)})
        self._buckets[key] = (tokens - count, now)
