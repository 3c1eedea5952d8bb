"""The JSON Schema of a rules file, from the declared fields: `python -m usher.rules.schema` prints it."""

import json
from typing import Any

from usher.features import PRODUCT_FEATURES, SLOTS
from usher.rules.fields import EVENT_COUNTERS, FIELDS, Field
from usher.rules.places import CONTINENT_NAMES, COUNTRY_NAMES


def build() -> dict[str, Any]:
    """The schema; an editor completes fields, operators and values from it."""
    condition = {"$ref": "#/$defs/condition"}
    text = {"type": "string"}
    rule = {
        "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,99}$"},
        "slot": {"enum": list(SLOTS[:3])},
        "priority": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "greater goes first"},
        "when": condition,
        "content": {"type": "string", "description": "an id of content/content.yaml"},
        "start": {"type": "string", "description": "ISO 8601, UTC unless it says otherwise; included"},
        "end": {"type": "string", "description": "ISO 8601; not included"},
        "rollout": {"type": "number", "minimum": 0, "maximum": 100},
        "owner": text,
        "examples": {
            "type": "array",
            "items": _closed({"user": {"type": "object"}, "expect": text}, ["user", "expect"]),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Usher rules",
        **_closed({"rules": {"type": "array", "items": _closed(rule, ["id", "slot", "content"])}}, ["rules"]),
        "$defs": {"condition": _condition(condition)},
    }


def _condition(condition: dict[str, str]) -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "items": condition}
    at_least = {"type": "integer", "minimum": 1}
    feature = {"enum": list(PRODUCT_FEATURES)}
    used = _closed({"feature": feature, "at_least": at_least}, ["feature"])
    did = _closed(
        {"event": {"enum": list(EVENT_COUNTERS)}, "at_least": at_least, "within": {"const": "30m"}}, ["event"]
    )
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    place = {"type": "string", "examples": [name.title() for name in (*CONTINENT_NAMES, *COUNTRY_NAMES)]}
    properties = {
        "all": several,
        "any": several,
        "not": condition,
        "did": {"anyOf": [used, did]},
        "prefers": _closed({"feature": feature, "at_least": probability}, ["feature", "at_least"]),
        "location": {"anyOf": [place, {"type": "array", "minItems": 1, "items": place}]},
        "language": {"type": "string"},
        **{name: _field(field) for name, field in FIELDS.items()},
    }
    return {**_closed(properties, []), "minProperties": 1}


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
