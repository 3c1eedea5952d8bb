"""Counted by hand."""

from typing import Any

import pytest

from usher.features import LIFETIME_COUNTERS, MODEL_INPUTS, ROLLING_COUNTERS
from usher.model.reference import iso_of, millis_of, model_row, profile_of

NOON = millis_of("2026-01-01T12:00:00.000Z")
MINUTE = 60_000


def event(
    number: int, minute: float, kind: str = "track", name: str | None = None, **properties: str
) -> dict[str, Any]:
    time = iso_of(NOON + int(minute * MINUTE))
    return {"messageId": f"m{number}", "type": kind, "event": name, "timestamp": time, "properties": properties}


EVENTS = [
    event(1, 0, "page"),
    event(2, 1, "screen"),
    event(3, 2, "track", "Feature Used", feature="reports"),
    event(3, 2, "track", "Feature Used", feature="reports"),  # sent again
    event(4, 32, "track", "Onboarding Step Completed", step="set_goals"),  # 30 minutes later: the same session
    event(5, 62, "track", "Feature Used", feature="unheard_of"),  # and again
    event(6, 62, "identify"),
    event(7, 64, "track", "Content Shown", slot="next_step"),
]


def test_profile() -> None:
    profile = profile_of(EVENTS)
    assert profile["first_seen"] == "2026-01-01T12:00:00.000Z"
    assert profile["last_seen"] == "2026-01-01T13:04:00.000Z"
    assert [profile[name] for name in LIFETIME_COUNTERS] == [7, 2, 1, 2, 1, 0]
    assert (profile["sessions_total"], profile["active_ms"]) == (1, 64 * MINUTE)
    assert [profile[name] for name in ROLLING_COUNTERS] == [3, 0, 0, 1, 1, 0]  # from 12:34
    assert (profile["used_reports"], profile["used_analytics"]) == (1, 0)


def test_a_gap_of_over_thirty_minutes_starts_a_session() -> None:
    times = [0, 1_800_000, 3_600_001]
    profile = profile_of(EVENTS[:3], times)
    assert (profile["sessions_total"], profile["active_ms"]) == (2, 1_800_000)


def test_record_times_are_window_time_and_timestamps_are_first_and_last_seen() -> None:
    profile = profile_of([EVENTS[2], EVENTS[0]], [NOON + 5 * MINUTE, NOON + 6 * MINUTE], at_ms=NOON + 36 * MINUTE)
    assert profile["first_seen"] == EVENTS[0]["timestamp"]
    assert (profile["active_ms"], profile["events_30m"], profile["features_used_30m"]) == (MINUTE, 1, 0)


def test_model_row_has_the_inputs_in_order() -> None:
    row = model_row(profile_of(EVENTS), "mobile", "EU")
    assert tuple(row) == MODEL_INPUTS
    assert (row["device_mobile"], row["device_desktop"], row["continent_EU"]) == (1, 0, 1)
    unknown = model_row(profile_of(EVENTS), None, None)
    assert sum(value for name, value in unknown.items() if name.startswith(("device_", "continent_"))) == 0


def test_no_events() -> None:
    with pytest.raises(ValueError, match="no events"):
        profile_of([])


def test_times() -> None:
    assert millis_of("1970-01-01T01:00:00.001+01:00") == 1
    assert iso_of(millis_of("2026-02-03T04:05:06.007Z")) == "2026-02-03T04:05:06.007Z"
