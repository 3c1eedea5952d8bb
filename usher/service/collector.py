"""The collector: Segment's HTTP tracking API, and a pixel for where no script runs."""

import base64
import binascii
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from usher.service import documents
from usher.service.messages import LETTERS, TYPES, Origin, Reader, Record
from usher.service.problems import Fault, Problem, bad_request
from usher.service.requests import Door, json_of, read_json
from usher.service.sink import Sink

MAX_BATCH = 2500
"""Segment's own limit of messages in a batch."""
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent pixel."""

_SUCCESS = orjson.dumps({"success": True})


class Collector:
    """What the collector's routes share."""

    def __init__(self, door: Door, reader: Reader, sink: Sink) -> None:
        self._door, self._reader, self._sink = door, reader, sink

    async def one(self, request: Request, message: Any, kind: str) -> None:
        """One message, acknowledged by Kafka when this returns."""
        holder = self._door.admit(request, "write", _write_key(message))
        self._door.events.take(holder.name)
        origin = self._door.origin(request)
        record = self._reader.read(message, kind, origin)
        if not isinstance(record, Record):
            raise bad_request(record, "The message")
        await self._sink.send([record], origin.received_ms)

    async def many(self, request: Request, body: Any) -> Response:
        """A batch: the good messages are taken, the others named in the answer; 400 when none is good."""
        holder = self._door.admit(request, "write", _write_key(body))
        messages = _messages(body)
        self._door.events.take(holder.name, max(len(messages), 1))
        origin = self._door.origin(request)
        records, rejected = self._read(messages, body, origin)
        if rejected and not records:
            raise bad_request([Fault(**fault) for _, faults in rejected for fault in faults], "Each message")
        await self._sink.send(records, origin.received_ms)
        if not rejected:
            return Response(_SUCCESS, media_type="application/json")
        refused = [{"index": index, "errors": errors} for index, errors in rejected]
        answer = {"success": True, "accepted": len(records), "rejected": refused}
        return Response(orjson.dumps(answer), media_type="application/json")

    def _read(
        self, messages: list[Any], body: dict[str, Any], origin: Origin
    ) -> tuple[list[Record], list[tuple[int, list[dict[str, str]]]]]:
        records, rejected = [], []
        for index, message in enumerate(messages):
            if isinstance(message, dict):
                _inherit(message, body)
            found = self._reader.read(message, None, origin, f"/batch/{index}")
            if isinstance(found, Record):
                records.append(found)
            else:
                rejected.append((index, [fault._asdict() for fault in found]))
        return records, rejected


def routes(collector: Collector) -> APIRouter:
    """`/v1/track` and its siblings, `/v1/batch`, `/v1/import`, `/v1/pixel/…`."""
    router = APIRouter(tags=["collector"])

    def single(path: str, kind: str, shown: bool = True) -> None:
        @router.post(path, name=kind, include_in_schema=shown, openapi_extra=documents.message(kind))
        async def collect(request: Request) -> Response:
            await collector.one(request, await read_json(request), kind)
            return Response(_SUCCESS, media_type="application/json")

    for kind in TYPES:
        single(f"/v1/{kind}", kind)
    for letter, kind in LETTERS.items():
        single(f"/v1/{letter}", kind, shown=False)  # what analytics.js calls

    @router.post("/v1/b", include_in_schema=False)
    @router.post("/v1/import", openapi_extra=documents.batch())
    @router.post("/v1/batch", openapi_extra=documents.batch())
    async def batch(request: Request) -> Response:
        return await collector.many(request, await read_json(request))

    @router.get("/v1/pixel/{kind}", openapi_extra=documents.pixel())
    async def pixel(request: Request, kind: str) -> Response:
        if kind not in TYPES:
            raise Problem(404, f"There is no such pixel; there are {', '.join(TYPES)}.")
        await collector.one(request, _pixel_message(request), kind)
        return Response(GIF, media_type="image/gif")

    return router


def _pixel_message(request: Request) -> Any:
    """`data` is a message in base64, of the usual or the URL-safe alphabet, with or without padding."""
    text = request.query_params.get("data", "").translate(str.maketrans("-_ ", "+/+"))
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise bad_request([Fault("data", "must be a message as JSON in base64.")]) from None
    return json_of(data, "data")


def _write_key(body: Any) -> Any:
    """Where no header can be set (sendBeacon, a pixel), the body names the key, as analytics.js does."""
    return body.get("writeKey") if isinstance(body, dict) else None


def _messages(body: Any) -> list[Any]:
    messages = body.get("batch") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        raise bad_request([Fault("/batch", "must be a list of messages.")])
    if len(messages) > MAX_BATCH:
        raise bad_request([Fault("/batch", f"has {len(messages)} messages; a batch may have {MAX_BATCH}.")])
    context = body.get("context")
    if context is not None and not isinstance(context, dict):
        raise bad_request([Fault("/context", "must be an object.")])
    return messages


def _inherit(message: dict[str, Any], body: dict[str, Any]) -> None:
    """A batch's own sentAt and context count for each of its messages."""
    if message.get("sentAt") is None and body.get("sentAt") is not None:
        message["sentAt"] = body["sentAt"]
    if body.get("context") and isinstance(message.get("context") or {}, dict):
        message["context"] = body["context"] | (message.get("context") or {})
