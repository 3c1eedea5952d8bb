"""What the `decisions` log would hold of simulated newcomers, counted for all of them at once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track

from usher.features import COUNTERS, PRODUCT_FEATURES
from usher.model.reference import ROLLING_MS, SESSION_GAP_MS

from ._days import Message, Product, life_of

if TYPE_CHECKING:
    from usher.model.dataset import Dataset

DAY_MS = 86_400_000
START = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = {
    "Onboarding Step Completed": "steps_completed",
    "Feature Used": "features_used",
    "Content Shown": "content_shown",
    "Content Clicked": "content_clicked",
}


def simulate_history(users: int, seed: int, days: float = 14) -> "Dataset":
    """`train(simulate_history(3000, seed=1))`: examples of newcomers who arrive over `days`."""
    from usher.model import config, label

    policy = config.load().training
    return label(simulate_log(users, seed, days), policy.horizon_ms, policy.min_uses)


def simulate_log(
    users: int, seed: int, days: float = 14, start: datetime = START, product: Product | None = None
) -> pd.DataFrame:
    """A row for each message of those who signed up: `usher.model.log.FEATURES`, as of that message.

    Newcomers arrive over the first four fifths of `days`, so that most of what they do is seen. It equals
    `usher.model.reference.profile_of` at each message, in one pass over all users.
    """
    rng = Random(f"{seed}:arrivals")
    begin = round(start.timestamp() * 1000)
    length = int(days * DAY_MS)
    people, counts = [], []
    for number in track(range(users), "simulating newcomers", transient=True):
        arrival = begin + int(rng.random() * 0.8 * length)
        person, life = life_of(number, seed, arrival, begin + length, product)
        known = [(time, *_what(message)) for time, message in life if message.get("userId")]
        people += [(person.user_id, person.device_type, person.continent, person.country)] * len(known)
        counts += [(number, *row) for row in known]
    who = pd.DataFrame(people, columns=["user_id", "device_type", "continent", "country"])
    return _counted(who, np.array(counts, np.int64).reshape(len(counts), -1))


def _what(message: Message) -> Iterator[int]:
    """1 for each of COUNTERS and then of PRODUCT_FEATURES that the message counts in."""
    kind = _KINDS.get(message.get("event") or "", "pages_viewed" if message["type"] == "page" else "")
    used = message["properties"]["feature"] if kind == "features_used" else ""
    yield 1
    yield from (int(kind == name) for name in COUNTERS[1:])
    yield from (int(used == name) for name in PRODUCT_FEATURES)


def _counted(who: pd.DataFrame, counts: NDArray[np.int64]) -> pd.DataFrame:
    """`counts`: user number, time in ms, ones; sorted by user and time."""
    number, time, ones = counts[:, 0], counts[:, 1], counts[:, 2:]
    key = (number - number[:1]) * (1 << 42) + time  # users far apart on one axis, so that one search serves all
    first = np.searchsorted(number, number)  # of the same user
    last = np.searchsorted(key, key, "right")  # what has the same time counts, too
    total = np.vstack([np.zeros_like(ones[:1]), ones.cumsum(axis=0)])
    recent = total[last] - total[np.maximum(first, np.searchsorted(key, key - ROLLING_MS))]
    gap = np.diff(time, prepend=time[:1])
    gap[first == np.arange(len(first))] = SESSION_GAP_MS + 1  # a user's first message begins their first session
    visits = np.concatenate([[0], (gap > SESSION_GAP_MS).cumsum()])
    active = np.concatenate([[0], np.where(gap <= SESSION_GAP_MS, gap, 0).cumsum()])
    columns = dict(zip(("events_total", *COUNTERS[1:]), (total[last] - total[first]).T, strict=False))
    columns |= {"sessions_total": visits[last] - visits[first], "active_ms": active[last] - active[first]}
    columns |= {f"{name}_30m": column for name, column in zip(COUNTERS, recent.T, strict=False)}
    used = (total[last] - total[first])[:, len(COUNTERS) :]
    columns |= {f"used_{name}": column for name, column in zip(PRODUCT_FEATURES, used.T, strict=True)}
    frame = who.assign(updated_at=time, **columns).drop_duplicates(["user_id", "updated_at"], keep="last")
    return frame.sort_values(["updated_at", "user_id"], ignore_index=True)
