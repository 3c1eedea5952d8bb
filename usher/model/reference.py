"""Profiles counted in plain Python: the independent arithmetic that the stream is tested against."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from usher.features import CONTINENTS, DEVICE_TYPES, LIFETIME_COUNTERS, MODEL_INPUTS, PRODUCT_FEATURES, ROLLING_COUNTERS

SESSION_GAP_MS = 1_800_000
ROLLING_MS = 1_800_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTED_EVENTS = {
    "Onboarding Step Completed": "steps_completed",
    "Feature Used": "features_used",
    "Content Shown": "content_shown",
    "Content Clicked": "content_clicked",
}


def profile_of(
    events: Sequence[Mapping[str, Any]], times_ms: Sequence[int] | None = None, at_ms: int | None = None
) -> dict[str, Any]:
    """The counters of one user's accepted messages, in any order; a repeated `messageId` counts once.

    `times_ms` are the record times (window time), by default each message's own `timestamp`. The 30-minute counters
    are as of `at_ms`, by default the last record time: they hold what is at most 30 minutes older than that.
    """
    times = [millis_of(event["timestamp"]) for event in events] if times_ms is None else times_ms
    once: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for time, event in zip(times, events, strict=True):
        once.setdefault(event["messageId"], (time, event))
    timed = sorted(once.values(), key=lambda pair: pair[0])
    if not timed:
        raise ValueError("profile_of() got no events: a user without events has no profile.")
    at = timed[-1][0] if at_ms is None else at_ms
    recent = [event for time, event in timed if at - ROLLING_MS <= time <= at]
    everything = [event for _, event in timed]
    stamps = [millis_of(event["timestamp"]) for event in everything]
    return {
        "first_seen": iso_of(min(stamps)),
        "last_seen": iso_of(max(stamps)),
        **dict(zip(LIFETIME_COUNTERS, _counts(everything), strict=True)),
        **_sessions([time for time, _ in timed]),
        **dict(zip(ROLLING_COUNTERS, _counts(recent), strict=True)),
        **_used(everything),
    }


def model_row(profile: Mapping[str, Any], device_type: str | None, continent: str | None) -> dict[str, float]:
    """A profile as the model sees it: MODEL_INPUTS in order, device and continent one-hot."""
    one_hot = {f"device_{name}": name == device_type for name in DEVICE_TYPES}
    one_hot |= {f"continent_{name}": name == continent for name in CONTINENTS}
    return {name: float({**profile, **one_hot}[name]) for name in MODEL_INPUTS}


def millis_of(timestamp: str) -> int:
    """ISO-8601 to milliseconds since 1970; without an offset it is UTC."""
    time = datetime.fromisoformat(timestamp)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def iso_of(millis: int) -> str:
    """Milliseconds since 1970 to ISO-8601 UTC with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=millis)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"


def _counts(events: Iterable[Mapping[str, Any]]) -> list[int]:
    """In the order of COUNTERS: events, pages, steps, features, shown, clicked."""
    names = [None, "pages_viewed", *_COUNTED_EVENTS.values()]
    counts = dict.fromkeys(names, 0)
    for event in events:
        counts[None] += 1
        if event["type"] in ("page", "screen"):
            counts["pages_viewed"] += 1
        elif event["type"] == "track" and event.get("event") in _COUNTED_EVENTS:
            counts[_COUNTED_EVENTS[event["event"]]] += 1
    return [*counts.values()]


def _sessions(times: list[int]) -> dict[str, int]:
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    active = sum(gap for gap in gaps if gap <= SESSION_GAP_MS)
    return {"sessions_total": 1 + sum(gap > SESSION_GAP_MS for gap in gaps), "active_ms": active}


def _used(events: list[Mapping[str, Any]]) -> dict[str, int]:
    used = [(e.get("properties") or {}).get("feature") for e in events if e.get("event") == "Feature Used"]
    return {f"used_{feature}": used.count(feature) for feature in PRODUCT_FEATURES}
