"""A person's rights over HTTP: what is stored of me, and erase it."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Request, Response

from usher.access import SERVER_ERRORS
from usher.service import documents
from usher.service.people import People, is_erased
from usher.service.problems import Fault, Problem, bad_request
from usher.service.requests import Door
from usher.service.topics import Place
from usher.service.whose import Names

log = logging.getLogger("usher.service")

EXPORT = {"type": "object", "required": ["user_id", "stored_as", "profiles", "events", "decisions", "dead_letters"]}
ACCEPTED = {"type": "object", "required": ["status", "verify"]}
ERASURE = {
    "type": "object",
    "required": ["erased", "remaining"],
    "properties": {"erased": {"type": "boolean"}, "remaining": {"type": "object"}},
}
_PLACE = re.compile(r"(\d{1,9})-(\d{1,18})")


class Erasures:
    """Logs are written anew one time after the other; whoever asks meanwhile shares the next."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._waiting: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, names: Names) -> None:
        """To be erased from the logs as soon as possible."""
        self._waiting |= set(names)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """All that was asked for is done: the process may end."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting:
            names, self._waiting = tuple(self._waiting), set()
            try:
                await asyncio.to_thread(self._people.erase_logs, names)
            except Exception as error:  # …/erasure shows what is left; the same DELETE does the rest
                log.error("An erasure stopped (%s): ask for it again.", type(error).__name__)


def routes(door: Door, people: People, erasures: Erasures) -> APIRouter:
    """`GET` (access), `DELETE` (erasure) and, to verify it, `GET …/erasure`."""
    router = APIRouter(prefix="/v1/users", tags=["rights"])

    @router.get("/{user_id:path}/erasure", openapi_extra=documents.erasure(ERASURE))
    async def erasure(request: Request, user_id: str) -> Response:
        door.admit(request, "admin")
        places = [_place(text) for text in request.query_params.getlist("wish")]
        names = await _asked(people.names, user_id)
        left = await _asked(people.remaining, (*names, *request.query_params.getlist("also")), places)
        return _json({"erased": is_erased(left), "remaining": left})

    @router.get("/{user_id:path}", openapi_extra=documents.user({200: EXPORT}))
    async def access(request: Request, user_id: str) -> Response:
        door.admit(request, "admin")
        return _json(await _asked(people.export, user_id))

    @router.delete("/{user_id:path}", openapi_extra=documents.user({202: ACCEPTED}))
    async def erase(request: Request, user_id: str) -> Response:
        """Profile and stream at once; the logs are written anew after the answer, which says where to look."""
        door.admit(request, "admin")
        names, places = await _asked(people.request_erasure, user_id)
        erasures.add(names)
        # once the profile is gone nothing else knows these ids, nor where the stream was told
        known = [("also", name) for name in names] + [("wish", f"{partition}-{at}") for partition, at in places]
        verify = f"/v1/users/{quote(user_id, safe='')}/erasure?{urlencode(known)}"
        return _json({"status": "accepted", "verify": verify}, 202)

    return router


async def _asked(question: Callable[..., Any], *asked: Any) -> Any:
    try:
        return await asyncio.to_thread(question, *asked)
    except SERVER_ERRORS as error:
        detail = f"A store was not reached, or refused ({type(error).__name__}): ask again later."
        raise Problem(503, detail, headers={"Retry-After": "30"}) from error


def _place(text: str) -> Place:
    if (found := _PLACE.fullmatch(text)) is None:
        raise bad_request([Fault("wish", "must be partition-offset, as the answer to DELETE has it.")])
    return int(found[1]), int(found[2])


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
