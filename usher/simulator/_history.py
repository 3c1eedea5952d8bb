"""Training labels: what a user's profile was at one moment, and what they did in the time after it."""

import math
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usher.features import MODEL_INPUTS, PRODUCT_FEATURES
from usher.model.reference import model_row, profile_of

from ._days import Message, life_of

DAY_MS = 86_400_000


class History(NamedTuple):
    """One row per user: model inputs at the cut, and what followed in the two days after it."""

    rows: list[dict[str, float]]
    """Over MODEL_INPUTS, in order."""
    preferences: NDArray[np.float32]
    """[n, 6] of 0 or 1 over PRODUCT_FEATURES: used at least twice after the cut."""
    engagement: NDArray[np.float32]
    """[n], 0 to 100."""


def simulate_history(users: int, seed: int, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> History:
    """`train(simulate_history(3000, seed=1), "build/model")`: one random cut for each newcomer who signed up."""
    rng = Random(f"{seed}:cuts")
    rows, used, engagement = [], [], []
    begin = round(start.timestamp() * 1000)
    for number in range(users):
        person, life = life_of(number, seed, begin + rng.randrange(DAY_MS), begin + 5 * DAY_MS)
        known = [(time, message) for time, message in life if message.get("userId")]
        reachable = [time for time, _ in known if time < begin + 3 * DAY_MS]
        if not reachable:
            continue
        cut = rng.choice(reachable)
        before = [message for time, message in known if time <= cut]
        after = [message for time, message in known if cut < time <= cut + 2 * DAY_MS]
        rows.append(model_row(profile_of(before), person.device_type, person.continent))
        used.append([_uses(after, feature) >= 2 for feature in PRODUCT_FEATURES])
        engagement.append(engagement_of(after))
    return History(rows, np.array(used, np.float32), np.array(engagement, np.float32))


def engagement_of(messages: list[Message]) -> float:
    """0 (nothing) to 100: minutes active, steps, features and clicks, each more worth less than the one before."""
    if not messages:
        return 0.0
    profile = profile_of(messages)
    points = profile["active_ms"] / 60_000 + profile["features_used"] + profile["content_clicked"]
    return 100 * (1 - math.exp(-(points + 2 * profile["steps_completed"]) / 60))


def _uses(messages: list[Message], feature: str) -> int:
    return sum(m.get("event") == "Feature Used" and m["properties"]["feature"] == feature for m in messages)


def matrix(rows: list[dict[str, float]]) -> NDArray[np.float32]:
    """Rows as a float32 array over MODEL_INPUTS."""
    return np.array([[row[name] for name in MODEL_INPUTS] for row in rows], np.float32)
