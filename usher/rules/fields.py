"""The profile fields that a rule may ask about, each with its type and its possible values."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from usher.features import CONTINENTS, DEVICE_TYPES, LIFETIME_COUNTERS, PRODUCT_FEATURES, ROLLING_COUNTERS
from usher.rules.places import COUNTRY_CODES

Kind = Literal["text", "count", "number", "bool"]
MAX_COUNT = 2**53
"""Counts beyond this are not exact as floats; no rule may name one."""


@dataclass(frozen=True)
class Field:
    """A declared field: ``values`` closes a text field, ``high`` bounds a number (``low`` is always 0)."""

    name: str
    kind: Kind
    values: tuple[str, ...] | None = None
    high: float = MAX_COUNT


def _declare() -> dict[str, Field]:
    fields = [
        Field("country", "text", tuple(sorted(COUNTRY_CODES))),
        Field("continent", "text", CONTINENTS),
        Field("region", "text"),
        Field("city", "text"),
        Field("device_type", "text", DEVICE_TYPES),
        Field("os", "text"),
        Field("browser", "text"),
        Field("is_bot", "bool"),
        Field("locale", "text"),
        *(Field(name, "count") for name in LIFETIME_COUNTERS + ROLLING_COUNTERS),
        Field("sessions_total", "count"),
        Field("active_ms", "count"),
        Field("engagement_score", "number", high=100.0),
        *(Field(f"feature_counts.{name}", "count") for name in PRODUCT_FEATURES),
        *(Field(f"preferences.{name}", "number", high=1.0) for name in PRODUCT_FEATURES),
    ]
    return {field.name: field for field in fields}


FIELDS: dict[str, Field] = _declare()
"""Every field of a fixed name; ``feature_counts.*`` and ``preferences.*`` are entries of maps."""

_LOCALE_FORM = str.maketrans(string.ascii_uppercase + "_", string.ascii_lowercase + "-")


def normal_locale(locale: str) -> str:
    """``de_AT`` and ``DE-at`` are ``de-at``: a rule does not tell them apart, as the choice of a text does not."""
    return locale.translate(_LOCALE_FORM)


CATEGORY = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""A category of `context.consent.categoryPreferences`, which each product names as it likes."""
MAX_HOURS = 24 * 30
"""`recent` reaches back so far."""


def hours_of(period: object) -> int | None:
    """``"7d"`` is 168, ``"12h"`` is 12; None for what is not 1 h to 30 d."""
    found = re.fullmatch(r"([0-9]{1,3})([hd])", period) if isinstance(period, str) else None
    hours = 0 if found is None else int(found[1]) * (24 if found[2] == "d" else 1)
    return hours if 1 <= hours <= MAX_HOURS else None


def period_of(hours: int) -> str:
    """``168`` is ``"7d"``: the inverse of `hours_of`."""
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


@dataclass(frozen=True)
class Recent:
    """What a field ``recent.<event>|<detail>|<hours>h`` counts; every detail of the event where it is empty."""

    event: str
    detail: str
    hours: int

    @property
    def name(self) -> str:
        return f"recent.{self.event}|{self.detail}|{self.hours}h"

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.event, self.detail)))} in the last {period_of(self.hours)}"


@lru_cache(10_000)
def field_of(name: str) -> Field:
    """The field of that name: declared, ``consent.<category>``, or a count over the last hours; else `KeyError`."""
    if name in FIELDS:
        return FIELDS[name]
    if name.startswith("consent.") and CATEGORY.match(name.removeprefix("consent.")):
        return Field(name, "bool")
    if recent_of(name) is not None:
        return Field(name, "count")
    raise KeyError(name)


@lru_cache(10_000)
def recent_of(name: str) -> Recent | None:
    """What the field counts, if it is a count over the last hours."""
    found = re.fullmatch(r"recent\.([^|]+)\|(.*)\|([0-9]+)h", name, re.DOTALL)
    return Recent(found[1], found[2], int(found[3])) if found else None


EVENT_COUNTERS = {
    "Page Viewed": "pages_viewed",
    "Onboarding Step Completed": "steps_completed",
    "Feature Used": "features_used",
    "Content Shown": "content_shown",
    "Content Clicked": "content_clicked",
}
"""What ``did: {event: ...}`` counts."""

RECENT_EVENTS: Mapping[str, str] = {
    "Signed Up": "",
    "Onboarding Step Viewed": "step",
    "Onboarding Step Completed": "step",
    "Onboarding Step Skipped": "step",
    "Onboarding Completed": "",
    "Feature Used": "feature",
    "Content Shown": "content",
    "Content Clicked": "content",
    "Content Dismissed": "content",
    "Feedback Submitted": "",
}
"""What ``did: {event: ..., within: 7d}`` counts by the hour, and what its detail is called."""
