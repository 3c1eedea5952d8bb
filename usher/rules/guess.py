"""A user who may meet a condition, found without a solver; whether they do is for the evaluator to say.

Most questions about a healthy set of rules have such an answer, and it takes microseconds where z3 takes milliseconds.
"""

from collections.abc import Mapping
from typing import Any as Anything

from usher.enrich._continents import CONTINENT_OF
from usher.features import CONTINENTS, LIFETIME_COUNTERS, PRODUCT_FEATURES
from usher.rules.columns import compile_test
from usher.rules.conditions import All, Condition, Leaf, Not
from usher.rules.fields import field_of, recent_of
from usher.rules.recent import HOUR_MS

PARTS = [
    *((name, "events_total") for name in LIFETIME_COUNTERS[1:]),
    *((f"{name}_30m", name) for name in LIFETIME_COUNTERS[1:]),
    *((f"{name}_30m", "events_30m") for name in LIFETIME_COUNTERS[1:]),
    ("events_30m", "events_total"),
    *((f"feature_counts.{name}", "features_used") for name in PRODUCT_FEATURES),
]
"""Counters of which one counts a part of what the other counts."""
_ON_TWO_CONTINENTS = frozenset(("AM", "AZ", "CY", "EG", "GE", "KZ", "RU", "TL", "TR", "UM"))
"""Geographic databases disagree on these, so nothing is concluded from them."""


def continent_of(country: str) -> str:
    """The continent that a country surely is on, or an empty text."""
    found = "" if country in _ON_TWO_CONTINENTS else CONTINENT_OF.get(country, "")
    return found if found in CONTINENTS else ""


def guess(condition: Condition, at_ms: int) -> dict[str, Anything] | None:
    """A user that the job can make, with a value for each field that must be known; None where that is impossible."""
    fields: dict[str, Anything] = {}
    _wish(condition, True, fields)
    whole = all(fields.get(part, 0) <= fields.get(all_, fields.get(part, 0)) for part, all_ in PARTS)
    home = continent_of(fields.get("country", ""))
    return nested(fields, at_ms) if whole and home in ("", fields.get("continent", home)) else None


def nested(fields: Mapping[str, Anything], at_ms: int) -> dict[str, Anything]:
    """Values by field as a profile has them: maps as maps, counts of the last hours as done in this one."""
    user: dict[str, Anything] = {}
    for name, value in fields.items():
        prefix, _, entry = name.partition(".")
        asked = recent_of(name)
        if asked is not None:
            done = [[at_ms // HOUR_MS, value]] if value else []
            user.setdefault("recent", {})[f"{asked.event}|{asked.detail}"] = done
        elif entry:
            user.setdefault(prefix, {})[entry] = value
        else:
            user[name] = value
    return user


def _wish(condition: Condition, wanted: bool, fields: dict[str, Anything]) -> None:
    """Set the fields that make the condition `wanted`, as far as they are not set yet; what is unknown is false."""
    if isinstance(condition, Leaf):
        known = condition.value == wanted if condition.op == "present" else wanted
        if known:
            fields.setdefault(condition.field, _value(condition))
    elif isinstance(condition, Not):
        _wish(condition.item, not wanted, fields)
    else:
        every = isinstance(condition, All) == wanted
        for item in condition.items if every else condition.items[:1]:
            _wish(item, wanted, fields)


def _value(leaf: Leaf) -> Anything:
    """A value of the field that answers the question with yes, if one of the likely ones does."""
    field, value = field_of(leaf.field), leaf.value
    first: Anything = value[0] if isinstance(value, tuple) else value
    if field.kind == "bool":
        likely: list[Anything] = [first, not first]
    elif field.kind == "text":
        likely = [first] if leaf.op not in ("ne", "present") else [*(field.values or ("x", "y"))]
    else:
        base = 0 if leaf.op == "present" else first
        likely = [base, base + 1, base - 1, base + 0.01, base - 0.01, 0]
        likely = [one for one in likely if 0 <= one <= field.high and (field.kind == "number" or one == int(one))]
    if leaf.op == "present":
        return likely[0]
    test = compile_test(leaf)
    return next((one for one in likely if test(one)), likely[0] if likely else None)
