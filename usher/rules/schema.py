"""The JSON Schema of a rules file, from the declared fields: `python -m usher.rules.schema` prints it."""

import json
from typing import Any

from usher.features import ONBOARDING_STEPS, PRODUCT_FEATURES
from usher.rules.fields import EVENT_COUNTERS, FIELDS, RECENT_EVENTS, Field
from usher.rules.model import RULE_SLOTS
from usher.rules.places import CONTINENT_NAMES, COUNTRY_NAMES

_PERIOD = "^[0-9]{1,3}[hd]$"


def build() -> dict[str, Any]:
    """The schema; an editor completes fields, operators and values from it."""
    condition = {"$ref": "#/$defs/condition"}
    text = {"type": "string"}
    name = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,99}$"}
    percent = {"type": "number", "minimum": 0, "maximum": 100}
    within = {"type": "string", "pattern": _PERIOD, "description": "hours or days, 1h to 30d"}
    part = {"type": "array", "items": percent, "minItems": 2, "maxItems": 2}
    at = {"type": "string", "description": "when, as `start`; by default the rule's first moment, or now"}
    example = {"user": {"type": "object"}, "expect": {"type": ["string", "null"]}, "at": at}
    rule = {
        "id": name,
        "slot": {**name, "examples": list(RULE_SLOTS), "description": "one that ships, or is declared in `slots`"},
        "priority": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "greater goes first"},
        "when": condition,
        "content": {"type": "string", "description": "an id of content/content.yaml"},
        "start": {"type": "string", "description": "ISO 8601, UTC unless it says otherwise; included"},
        "end": {"type": "string", "description": "ISO 8601; not included"},
        "rollout": percent,
        "cap": _closed({"times": {"type": "integer", "minimum": 1}, "within": within}, ["times", "within"]),
        "group": _closed({"name": name, "part": part}, ["name", "part"]),
        "owner": text,
        "examples": {"type": "array", "items": _closed(example, ["user", "expect"])},
    }
    file = {
        "rules": {"type": "array", "items": _closed(rule, ["id", "slot", "content"])},
        "slots": {"type": "array", "items": name, "description": "instead of those that ship"},
        "holdout": _closed({"percent": percent, "seed": name}, ["percent"]),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Usher rules",
        **_closed(file, []),
        "$defs": {"condition": _condition(condition)},
    }


def _condition(condition: dict[str, str]) -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "items": condition}
    at_least = {"type": "integer", "minimum": 1}
    feature = {"enum": list(PRODUCT_FEATURES)}
    did = {
        "event": {"enum": sorted({*EVENT_COUNTERS, *RECENT_EVENTS})},
        "feature": feature,
        "step": {"enum": list(ONBOARDING_STEPS)},
        "content": {"type": "string"},
        "at_least": at_least,
        "within": {"anyOf": [{"const": "30m"}, {"type": "string", "pattern": _PERIOD}]},
    }
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    place = {"type": "string", "examples": [name.title() for name in (*CONTINENT_NAMES, *COUNTRY_NAMES)]}
    properties = {
        "all": several,
        "any": several,
        "not": condition,
        "did": {**_closed(did, []), "anyOf": [{"required": ["event"]}, {"required": ["feature"]}]},
        "prefers": _closed({"feature": feature, "at_least": probability}, ["feature", "at_least"]),
        "location": {"anyOf": [place, {"type": "array", "minItems": 1, "items": place}]},
        "language": {"type": "string", "pattern": "^[a-z]{2,3}$", "examples": ["de"]},
        **{name: _field(field) for name, field in FIELDS.items()},
    }
    consent = {"^consent\\.[A-Za-z0-9_-]{1,64}$": _field(Field("consent", "bool"))}
    return {**_closed(properties, []), "patternProperties": consent, "minProperties": 1}


def _field(field: Field) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": {"text": "string", "count": "integer", "number": "number"}.get(field.kind, "boolean")
    }
    if field.values is not None:
        value["examples"] = list(field.values)
    if field.kind in ("count", "number"):
        value |= {"minimum": 0, "maximum": int(field.high)}
    many = {"type": "array", "minItems": 1, "items": value}
    operators: dict[str, Any] = {"eq": value, "is": value, "ne": value, "in": many, "present": {"type": "boolean"}}
    if field.kind in ("count", "number"):
        operators |= dict.fromkeys(("lt", "le", "gt", "ge", "at_least", "at_most", "more_than", "less_than"), value)
        operators["between"] = {**many, "minItems": 2, "maxItems": 2}
    elif field.kind == "text":
        operators |= {key: {"type": "string", "minLength": 1} for key in ("starts_with", "ends_with", "contains")}
    return {"anyOf": [value, many, {**_closed(operators, []), "minProperties": 1}]}


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    closed: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**closed, "required": required} if required else closed


if __name__ == "__main__":
    print(json.dumps(build(), indent=1))
