"""A person's rights over HTTP: what is stored of me, and erase it."""

import asyncio
import logging
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from elastic_transport import TransportError
from fastapi import APIRouter, Request, Response
from kafka.errors import KafkaError

from usher.service import documents
from usher.service.people import Names, People, is_erased
from usher.service.problems import Problem
from usher.service.requests import Door

log = logging.getLogger("usher.service")

EXPORT = {"type": "object", "required": ["user_id", "stored_as", "profiles", "events", "decisions"]}
ACCEPTED = {"type": "object", "required": ["status", "verify"]}
ERASURE = {
    "type": "object",
    "required": ["erased", "remaining"],
    "properties": {"erased": {"type": "boolean"}, "remaining": {"type": "object"}},
}


def routes(door: Door, people: People) -> APIRouter:
    """`GET` (access), `DELETE` (erasure) and, to verify it, `GET …/erasure`."""
    router = APIRouter(prefix="/v1/users", tags=["rights"])
    under_way: set[asyncio.Task[None]] = set()

    @router.get("/{user_id:path}/erasure", openapi_extra=documents.user({200: ERASURE}))
    async def erasure(request: Request, user_id: str) -> Response:
        door.admit(request, "admin")
        names = await _asked(people.names, user_id)
        left = await _asked(people.remaining, (*names, *request.query_params.getlist("also")))
        return _json({"erased": is_erased(left), "remaining": left})

    @router.get("/{user_id:path}", openapi_extra=documents.user({200: EXPORT}))
    async def access(request: Request, user_id: str) -> Response:
        door.admit(request, "admin")
        return _json(await _asked(people.export, user_id))

    @router.delete("/{user_id:path}", openapi_extra=documents.user({202: ACCEPTED}))
    async def erase(request: Request, user_id: str) -> Response:
        """Profile and stream at once; the logs are written anew after the answer, which says where to look."""
        door.admit(request, "admin")
        names = await _asked(people.request_erasure, user_id)
        task = asyncio.create_task(_erase_logs(people, names))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        also = urlencode([("also", name) for name in names])  # once the profile is gone nothing else knows these ids
        return _json({"status": "accepted", "verify": f"/v1/users/{quote(user_id, safe='')}/erasure?{also}"}, 202)

    return router


async def _erase_logs(people: People, names: Names) -> None:
    try:
        await asyncio.to_thread(people.erase_logs, names)
    except (KafkaError, TransportError) as error:  # …/erasure shows what is left; the same DELETE does the rest
        log.error("An erasure stopped (%s): ask for it again.", type(error).__name__)


async def _asked(question: Any, asked: Any) -> Any:
    try:
        return await asyncio.to_thread(question, asked)
    except (KafkaError, TransportError) as error:
        detail = f"A store was not reached ({type(error).__name__}): ask again later."
        raise Problem(503, detail, headers={"Retry-After": "30"}) from error


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
