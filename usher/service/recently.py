"""What users did in the last 30 days, content by content: counted from the `recent` of their profiles.

`recent` says how often each user was shown and clicked each content in which hour (usher/rules/recent.py). It is text
in the index, which Elasticsearch cannot add up; so the profiles of those seen last are read, up to a limit.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from usher.rules.recent import HOUR_MS, parse_recent
from usher.service.elastic import Elastic
from usher.service.scan import newest

DAYS = 30
SHOWN, CLICKED = "Content Shown", "Content Clicked"
COMPLETED = "Onboarding Completed|"
"""As `recent` names it."""
_FIELDS = ["recent", "first_seen"]


def hours_since(first_seen: str, hour: int) -> int:
    """From a user's first event to that hour of `recent`, at least 0."""
    return max(0, hour - int(datetime.fromisoformat(first_seen).timestamp() * 1000 // HOUR_MS))


@dataclass
class Recently:
    """Totals over the profiles that were added; of `shown_users`, `clicked_users` clicked that content."""

    users: int = 0
    shown: Counter[str] = field(default_factory=Counter)
    clicked: Counter[str] = field(default_factory=Counter)
    shown_users: Counter[str] = field(default_factory=Counter)
    clicked_users: Counter[str] = field(default_factory=Counter)
    feedback: int = 0
    hours_to_complete: list[int] = field(default_factory=list)

    def add(self, profile: Mapping[str, Any], now_ms: int) -> None:
        """One user's; hours older than `DAYS` do not count, nor a `recent` that is none."""
        self.users += 1
        now = now_ms // HOUR_MS
        done = {
            action: hours
            for action, pairs in (parse_recent(profile.get("recent")) or {}).items()
            if (hours := {hour: n for hour, n in pairs if now - DAYS * 24 <= hour <= now})
        }
        for action, hours in done.items():
            event, _, content = action.partition("|")
            self.feedback += sum(hours.values()) if event == "Feedback Submitted" else 0
            if content and event == SHOWN:
                self.shown[content] += sum(hours.values())
                self.shown_users[content] += 1
                self.clicked_users[content] += f"{CLICKED}|{content}" in done
            elif content and event == CLICKED:
                self.clicked[content] += sum(hours.values())
        if completed := done.get(COMPLETED):
            self.hours_to_complete.append(hours_since(profile["first_seen"], min(completed)))

    def contents(self) -> list[dict[str, Any]]:
        """By content, those shown most often first."""
        return [
            {
                "content": content,
                "shown": shown,
                "clicked": self.clicked[content],
                "rate": self.clicked[content] / shown,
                "users": (users := self.shown_users[content]),
                "clickers": self.clicked_users[content] / users,
            }
            for content, shown in self.shown.most_common()
        ]

    def median_hours(self) -> float | None:
        """From the first event to the end of onboarding; None if nobody got there."""
        return median(self.hours_to_complete) if self.hours_to_complete else None


async def recently(elastic: Elastic, query: Mapping[str, Any], now_ms: int) -> Recently:
    """Over the users that match, those seen last first."""
    found = Recently()
    async for profile in newest(elastic, query, "last_seen", _FIELDS):
        found.add(profile, now_ms)
    return found
