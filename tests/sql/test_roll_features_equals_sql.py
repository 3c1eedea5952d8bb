"""RollFeatures and AdmitEvents are what SQL's OVER windows say, and cheaper: here on random records."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stages import Stages

from usher.features import COUNTERS, LIFETIME_COUNTERS, ROLLING_COUNTERS

DAY = datetime(2025, 1, 31, tzinfo=UTC)
EVENTS = ("Feature Used", "Onboarding Step Completed", "Content Shown", "Content Clicked", "Signed Up")
OVER = "(PARTITION BY user_key ORDER BY window_time RANGE BETWEEN {} PRECEDING AND CURRENT ROW)"
PERIODS = {"INTERVAL '30' MINUTE": ROLLING_COUNTERS, "UNBOUNDED": LIFETIME_COUNTERS}


def records(seed: int, seconds: list[float], ids: int) -> list[dict[str, Any]]:
    """A record after each of `seconds`, with one of so many ids."""
    chance = random.Random(seed)
    return [
        {
            "record_time": (DAY + timedelta(seconds=second)).isoformat(timespec="milliseconds")[:-6] + "Z",
            "message": {
                "messageId": f"m{chance.randrange(ids)}",
                "type": chance.choice(["track", "track", "track", "page", "identify"]),
                "event": chance.choice(EVENTS),
                "userId": f"u{chance.randrange(4)}",
            },
        }
        for second in seconds
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_roll_features_equals_sum_over(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    # tiles on a grid of 5 minutes and a few seconds beside it: many are 30 minutes apart, more or less a second
    grid = [300 * chance.randrange(80) + chance.choice([0, 0, 0, 1, 2]) for _ in range(250)]
    stages = Stages(records(seed, sorted(grid), ids=10**9), tmp_path / "given.json")
    features = stages.collect(["user_key", "rowtime", *LIFETIME_COUNTERS, *ROLLING_COUNTERS], "features")
    split = 2 + len(LIFETIME_COUNTERS)
    for period, names in PERIODS.items():
        over = OVER.format(period)
        sums = ", ".join(f"SUM({counter}) OVER {over} AS {name}" for counter, name in zip(COUNTERS, names, strict=True))
        query = f"SELECT user_key, window_time, {sums} FROM tiles"
        expected = stages.collect(["user_key", "window_time", *names], query)
        tiles = {row[:2] for row in expected}
        counts = slice(2, split) if names is LIFETIME_COUNTERS else slice(split, None)
        assert [row[:2] + row[counts] for row in features if row[:2] in tiles] == expected
        assert len(expected) > 100


def test_admit_events_equals_row_number(tmp_path: Path) -> None:
    seconds = sorted(random.Random(3).sample(range(3_599_000), 400))
    stages = Stages(records(3, [ms / 1000 for ms in seconds], ids=150), tmp_path / "given.json")
    first = """SELECT * FROM (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY message_id ORDER BY record_time) AS n FROM parsed
    ) WHERE n = 1"""
    expected = stages.collect(["message_id", "offset"], first)
    accepted = "SELECT * FROM admitted WHERE verdict = 'accepted'"
    assert stages.collect(["message_id", "offset"], accepted) == expected
    assert 100 < len(expected) <= 150
