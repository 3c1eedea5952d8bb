"""A profile as it is now, not as it was when it was written."""

from datetime import datetime

from usher.features import ROLLING_COUNTERS
from usher.profile import as_of

PROFILE = {"updated_at": "2025-01-31T09:30:00.999Z", "events_total": 7} | dict.fromkeys(ROLLING_COUNTERS, 3)
UPDATED = datetime.fromisoformat("2025-01-31T09:30:00.999+00:00").timestamp()


def test_within_30_minutes_it_is_as_written() -> None:
    assert as_of(PROFILE, UPDATED) == PROFILE
    assert as_of(PROFILE, UPDATED + 1800) == PROFILE


def test_after_30_minutes_rolling_counters_are_zero() -> None:
    now = as_of(PROFILE, UPDATED + 1800.1)
    assert {name: now[name] for name in ROLLING_COUNTERS} == dict.fromkeys(ROLLING_COUNTERS, 0)
    assert now["events_total"] == 7 and now["updated_at"] == PROFILE["updated_at"]
    assert PROFILE["events_30m"] == 3, "the profile that was given stays as it was"
