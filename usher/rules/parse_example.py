"""What is wrong with the user of an example: fields that do not exist, and values that no profile has, say nothing."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from usher.features import ONBOARDING_STEPS, PRODUCT_FEATURES
from usher.rules.columns import known_value
from usher.rules.fields import RECENT_EVENTS, Field, field_of, hours_of
from usher.rules.parse_condition import meant
from usher.rules.places import continent_code, country_code
from usher.rules.recent import parse_recent

Fault = tuple[str, str, str]
"""The key it is at, what is wrong, and the remedy."""
_MAPS = ("feature_counts", "preferences", "consent")


def faults(user: Mapping[str, Any], contents: Collection[str]) -> Iterator[Fault]:
    """Everything that is wrong with the user; what is null is unknown, which is right."""
    for key, value in user.items():
        if value is None:
            continue
        if key == "user_id":
            if not isinstance(value, str):
                yield key, f"has the user_id {value!r}, which is not a text", "put it in quotes."
        elif key == "recent":
            for what, remedy in _of_recent(value, contents):
                yield key, what, remedy
        elif key not in _MAPS:
            yield from _of_field(key, key, value)
        elif not isinstance(value, Mapping):
            yield key, f"has {key} {value!r}, which is not a mapping", f"write e.g. `{key}: {{analytics: 1}}`."
        else:
            for name, entry in value.items():
                yield from _of_field(key, f"{key}.{name}", entry)


def _of_field(key: str, name: str, value: Any) -> Iterator[Fault]:
    try:
        field = field_of(name)
    except KeyError:
        yield (
            key,
            f"has a user with '{name}', which is not a field",
            "use the fields of the profile, `user_id`, `recent`.",
        )
        return
    if value is not None and (remedy := _remedy(field, value)):
        yield key, f"has {name} {value!r}, which no profile has", remedy


def _remedy(field: Field, value: Any) -> str:
    """How to put the value right; empty if it is."""
    if field.values is not None and isinstance(value, str):
        code = {"country": country_code, "continent": continent_code}.get(field.name, str)(value)
        return (
            "" if value in field.values else meant(code, field.values) if code == value else f"write the code {code}."
        )
    if known_value(field.name, value) is None or (field.kind == "count" and not isinstance(value, int)):
        return {"count": "write a whole number.", "bool": "write true or false."}.get(
            field.kind, f"write a {field.kind}."
        )
    if field.kind in ("count", "number") and not 0 <= value <= field.high:
        return f"use a value from 0 to {field.high:,.0f}."
    return ""


def _of_recent(value: Any, contents: Collection[str]) -> Iterator[tuple[str, str]]:
    recent = parse_recent(value)
    example = 'write `recent: {"Feature Used|analytics": {2d: 1}}`: what, how long ago (1h to 30d), how often.'
    if recent is None:
        yield "has a `recent` that is no mapping", example
        return
    details = {"feature": PRODUCT_FEATURES, "step": ONBOARDING_STEPS, "content": contents}
    for key, entry in recent.items():
        event, _, detail = str(key).partition("|")
        kind = RECENT_EVENTS.get(event)
        if kind is None:
            yield f"has '{event}' in `recent`, which is not counted by the hour", meant(event, RECENT_EVENTS)
        elif detail and detail not in details.get(kind, ()):
            remedy = meant(detail, details[kind]) if kind else "drop what is after the `|`."
            yield f"has '{detail}' of '{event}' in `recent`, which does not exist", remedy
        elif not _is_count(entry):
            yield f"has {entry!r} of '{key}' in `recent`, which is no count", example


def _is_count(entry: Any) -> bool:
    """Whether it is a count of this hour, counts by age, or pairs of an hour of the epoch and a count."""
    if isinstance(entry, Mapping):
        return all(hours_of(age) is not None and _is_whole(n) for age, n in entry.items())
    if isinstance(entry, list):
        return all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_whole, pair)) for pair in entry)
    return _is_whole(entry)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
