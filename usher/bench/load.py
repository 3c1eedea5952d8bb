"""Events for the benchmarks: what SDKs really send (simulated messages of ~400 bytes), in bursts of 5-30 a user."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from usher.model.reference import iso_of
from usher.simulator import simulate

Record = tuple[int, bytes, bytes]
BURST_MS = 2000
"""A mobile SDK's queue arrives within so long."""


def templates(count: int = 2000) -> list[str]:
    """Simulated messages as format strings with places for id, user and time."""
    texts = []
    for message in simulate(60, 1, datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=2)):
        message |= {"messageId": "@id", "timestamp": "@time", "receivedAt": "@time", "sentAt": None}
        message |= {"userId": "@user"}
        texts.append(json.dumps(message, separators=(",", ":")))
        if len(texts) == count:
            break
    return texts


def bursts(events: int, users: int, per_second: int, begin_ms: int, seed: int = 1) -> Iterator[Record]:
    """`events` records (record time, key, value) of `users`, at `per_second` of window time, in order of time."""
    rng = Random(seed)
    texts = templates()
    pending: list[tuple[int, int]] = []
    made = burst = 0
    now = float(begin_ms)
    while made < events:
        size = rng.randint(5, 30)
        user = rng.randrange(users)
        pending += [(int(now) + rng.randrange(BURST_MS), user) for _ in range(size)]
        now += size * 1000 / per_second
        burst += 1
        if burst % 200 == 0:  # those that no later burst can precede
            pending.sort()
            ready = [item for item in pending if item[0] <= now]
            pending = pending[len(ready) :]
            for time, who in ready:
                made += 1
                yield record(texts[rng.randrange(len(texts))], made, time, who)
                if made == events:
                    return


def record(text: str, number: int, time: int, user: int) -> Record:
    """Event `number` of `user` from a template, with that record time (ms)."""
    name = f"user-{user}"
    value = text.replace("@id", f"message-{number}").replace("@user", name).replace("@time", iso_of(time))
    return time, name.encode(), value.encode()
