"""The profile fields that a rule may ask about, each with its type and its possible values."""

from dataclasses import dataclass
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
"""Every field by its name; ``feature_counts.*`` and ``preferences.*`` are entries of maps."""

EVENT_COUNTERS = {
    "Page Viewed": "pages_viewed",
    "Onboarding Step Completed": "steps_completed",
    "Feature Used": "features_used",
    "Content Shown": "content_shown",
    "Content Clicked": "content_clicked",
}
"""What ``did: {event: ...}`` counts."""
