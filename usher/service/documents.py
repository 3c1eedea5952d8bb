"""The OpenAPI document: what each route takes and answers.

Routes read their bodies themselves (any Content-Type, gzip, limits), so that FastAPI cannot know the schemas; they are
written here, and schemathesis holds the service to them.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from usher.features import SLOTS
from usher.service.messages import MAX_TEXT, TYPES

Schema = dict[str, Any]

_ID: Schema = {"type": ["string", "null"], "minLength": 1, "description": "At most 512 bytes of UTF-8."}
_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_OBJECT: Schema = {"type": ["object", "null"]}
_TEXT: Schema = {"type": ["string", "null"], "maxLength": MAX_TEXT}
_CONTEXT: Schema = {
    "type": ["object", "null"],
    "properties": {
        "ip": _TEXT,
        "userAgent": _TEXT,
        "locale": _TEXT,
        "consent": {
            "type": ["object", "null"],
            "properties": {
                "categoryPreferences": {"type": ["object", "null"], "additionalProperties": {"type": "boolean"}}
            },
        },
    },
}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"], "maxLength": MAX_TEXT}
_PROPERTIES: Schema = {
    "type": ["object", "null"],
    "properties": dict.fromkeys(("feature", "step", "content_id", "slot", "decision_id", "variation"), _SCALAR),
}
_MESSAGE: Schema = {
    "type": "object",
    "description": "A Segment message. What is missing of messageId, timestamp and type is filled in.",
    "properties": {
        "messageId": _ID,
        "type": {"enum": [*TYPES, None]},
        "userId": _ID,
        "anonymousId": _ID,
        "timestamp": _TIME | {"description": "When the user did it: 1990-01-01 to an hour from now."},
        "sentAt": _TIME | {"description": "By the client's clock, when it sent this; corrects that clock."},
        "originalTimestamp": _TIME,
        "event": _TEXT,
        "previousId": _ID,
        "groupId": _ID,
        "properties": _PROPERTIES,
        "traits": _OBJECT,
        "context": _CONTEXT,
        "integrations": _OBJECT,
        "writeKey": _TEXT | {"description": "Where the client can set no header."},
    },
    "anyOf": [
        {"required": ["userId"], "properties": {"userId": {"type": "string"}}},
        {"required": ["anonymousId"], "properties": {"anonymousId": {"type": "string"}}},
    ],
}
_NEEDS = {"track": ("event",), "alias": ("userId", "previousId"), "group": ("groupId",)}
_SUCCESS: Schema = {"type": "object", "required": ["success"], "properties": {"success": {"const": True}}}
_BATCH_ANSWER: Schema = _SUCCESS | {
    "properties": {
        "success": {"const": True},
        "accepted": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {"type": "object", "required": ["index", "errors"], "properties": {"index": {"type": "integer"}}},
        },
    }
}
_FAULT: Schema = {
    "type": "object",
    "required": ["field", "reason"],
    "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
}
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details; `errors` names each field and why. Decisions add OFREP's errorCode.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": _FAULT},
        "errorCode": {"type": "string"},
        "errorDetails": {"type": "string"},
        "key": {"type": "string"},
    },
}
_EVALUATION_CONTEXT: Schema = {
    "type": "object",
    "properties": {
        "context": {
            "type": ["object", "null"],
            "description": "`ip`, `userAgent` and `locale` of the user, and their consent; fields of a profile, as "
            "`country`, count before what is stored.",
            "properties": {"targetingKey": _ID},
        }
    },
}
_FLAG: Schema = {
    "type": "object",
    "required": ["key", "reason", "variant", "metadata"],
    "properties": {
        "key": {"enum": [*SLOTS]},
        "reason": {"enum": ["TARGETING_MATCH", "SPLIT", "DEFAULT"]},
        "variant": {"type": "string"},
        "value": {"type": ["string", "object"]},
        "metadata": {
            "type": "object",
            "required": ["decision_id", "rules_version", "model_version", "degraded"],
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
    },
}
_BULK: Schema = {"type": "object", "required": ["flags"], "properties": {"flags": {"type": "array", "items": _FLAG}}}
_PLACE = "^[0-9]{1,9}-[0-9]{1,18}$"

SECURITY = {
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user, no password."},
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
"""Three ways to show a key; which role it must have is in each operation's `x-role`."""


def message(kind: str) -> Schema:
    """A route that takes one message of this type."""
    body = _MESSAGE | {"required": list(_NEEDS.get(kind, ()))}
    fixed = {name: _MESSAGE["properties"][name] | {"type": "string", "minLength": 1} for name in _NEEDS.get(kind, ())}
    body["properties"] = _MESSAGE["properties"] | {"type": {"enum": [kind, None]}} | fixed
    return _route("write", {200: _SUCCESS}, (400, 401, 403, 413, 415, 429, 503), body)


def batch() -> Schema:
    """A route that takes many messages, each with its type."""
    item = _MESSAGE | {"required": ["type"]}
    item["properties"] = _MESSAGE["properties"] | {"type": {"enum": ["identify", "page", "screen"]}}
    track = _MESSAGE | {"required": ["type", "event"]}
    track["properties"] = _MESSAGE["properties"] | {
        "type": {"const": "track"},
        "event": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    }
    body: Schema = {
        "type": "object",
        "required": ["batch"],
        "properties": {
            "batch": {"type": "array", "items": {"anyOf": [item, track]}, "maxItems": 2500},
            "sentAt": _TIME,
            "context": _CONTEXT,
        },
    }
    return _route("write", {200: _BATCH_ANSWER}, (400, 401, 403, 413, 415, 429, 503), body)


def pixel() -> Schema:
    """The pixel: a message in the query."""
    route = _route("write", {}, (400, 401, 403, 404, 429, 503))
    route["responses"]["200"] = {"description": "1×1 GIF", "content": {"image/gif": {"schema": {"type": "string"}}}}
    route["parameters"] = [
        {"name": "kind", "in": "path", "required": True, "schema": {"enum": [*TYPES]}},
        {
            "name": "data",
            "in": "query",
            "required": True,
            "description": "A message as JSON in base64; it may hold the write key as `writeKey`.",
            "schema": {"type": "string", "format": "base64-message"},
        },
    ]
    return route


def evaluation() -> Schema:
    """One slot."""
    route = _route("read", {200: _FLAG}, (400, 401, 403, 404, 413, 415, 429), _EVALUATION_CONTEXT)
    route["parameters"] = [{"name": "key", "in": "path", "required": True, "schema": {"enum": [*SLOTS]}}]
    return route


def bulk_evaluation() -> Schema:
    """All slots."""
    route = _route("read", {200: _BULK}, (400, 401, 403, 413, 415, 429), _EVALUATION_CONTEXT)
    route["responses"]["304"] = {"description": "As it was when it had the ETag in If-None-Match."}
    route["parameters"] = [{"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}]
    return route


def user(answers: dict[int, Schema]) -> Schema:
    """A person's rights."""
    route = _route("admin", answers, (401, 403, 429, 503))
    schema = {"type": "string", "minLength": 1}
    route["parameters"] = [{"name": "user_id", "in": "path", "required": True, "schema": schema}]
    return route


def erasure(answer: Schema) -> Schema:
    """What is left of a person; the query is that of the address which `DELETE` answers with."""
    route = user({200: answer})
    route["responses"]["400"] = _answer("Problem", "application/problem+json", PROBLEM)
    route["parameters"] += [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": description,
            "schema": {"type": "array", "items": items},
        }
        for name, description, items in (
            ("also", "Other ids of the person.", {"type": "string"}),
            ("wish", "Where in `events` the stream is told: partition-offset.", {"type": "string", "pattern": _PLACE}),
        )
    ]
    return route


def file(role: str, media_type: str) -> Schema:
    """A file for holders of a key."""
    route = _route(role, {}, (401, 403, 429))
    route["responses"]["200"] = {"description": "OK", "content": {media_type: {"schema": {}}}}
    return route


def install(app: FastAPI) -> None:
    """The document of this application."""

    def document() -> Schema:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema.setdefault("components", {})["securitySchemes"] = SECURITY
            for path in schema["paths"].values():
                for operation in path.values():
                    operation.get("responses", {}).pop("422", None)  # nothing is validated by FastAPI
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _route(role: str, answers: dict[int, Schema], problems: tuple[int, ...], body: Schema | None = None) -> Schema:
    responses: Schema = {str(status): _answer("OK", "application/json", schema) for status, schema in answers.items()}
    responses |= {str(status): _answer("Problem", "application/problem+json", PROBLEM) for status in problems}
    route: Schema = {"responses": responses, "security": [{way: []} for way in SECURITY], "x-role": role}
    if body is not None:
        route["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return route


def _answer(description: str, media_type: str, schema: Schema) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}
