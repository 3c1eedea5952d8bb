"""The decision API: OpenFeature's Remote Evaluation Protocol, a slot being a flag key."""

import hashlib
import logging
import time
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from usher.service import documents
from usher.service.deciding import Decider, Decision, Decisions, asked_by_browser
from usher.service.messages import MAX_ID_BYTES
from usher.service.privacy import Pseudonyms
from usher.service.problems import Fault, Problem
from usher.service.profiles import Profiles, ProfilesUnavailable
from usher.service.requests import BROWSER, Door, read_json

JSON = "application/json"

log = logging.getLogger("usher.service")


class Evaluator:
    """One user's decisions, asked for by key."""

    def __init__(self, door: Door, pseudonyms: Pseudonyms, profiles: Profiles, decider: Decider) -> None:
        self._door, self._pseudonyms, self._profiles, self._decider = door, pseudonyms, profiles, decider

    async def decisions(self, request: Request, slot: str | None) -> Decisions:
        """All slots for the context in the body; a profile that cannot be read in time is done without."""
        self._door.admit(request, "read")
        context = self._context(request, await self._read(request, slot), slot)
        user_id, profile, degraded = context.get("targetingKey"), None, False
        if user_id is not None and self._decider.agrees(context) is not False:
            try:
                profile = await self._profiles.get(self._pseudonyms.all(user_id))
            except ProfilesUnavailable:
                degraded = True
        name, now = self._pseudonyms(user_id) if user_id is not None else None, time.time()
        try:
            return self._decider.decide(name, profile, context, now, degraded)
        except Exception as error:  # whatever is wrong with a document, its user gets no error
            if profile is None:
                raise
            log.warning("A profile cannot be used (%s): the context alone decides.", type(error).__name__)
        return self._decider.decide(name, None, context, now, degraded=True)

    async def warm_up(self) -> None:
        """The first connection and the first run of the model take longer than a newcomer should wait."""
        for _ in range(5):
            try:
                await self._profiles.get(["nobody"])
            except ProfilesUnavailable:
                continue  # it is down or still slow: each request will find out for itself
        self._decider.decide(None, None, {"ip": "192.0.2.1", "userAgent": BROWSER}, time.time())

    async def _read(self, request: Request, slot: str | None) -> dict[str, Any]:
        try:
            body = await read_json(request)
        except Problem as problem:
            if problem.status == 400:
                raise _refused(slot, "PARSE_ERROR", problem.faults) from None
            raise
        if not isinstance(body, dict):
            raise _refused(slot, "PARSE_ERROR", [Fault("/", "must be a JSON object.")])
        return body

    def _context(self, request: Request, body: dict[str, Any], slot: str | None) -> dict[str, Any]:
        context = body.get("context")
        if context is None:
            context = {}
        if not isinstance(context, dict):
            raise _refused(slot, "INVALID_CONTEXT", [Fault("/context", "must be an object.")])
        key = context.get("targetingKey")
        if key is not None and not (isinstance(key, str) and 0 < len(key.encode()) <= MAX_ID_BYTES):
            fault = Fault("/context/targetingKey", f"must be a string of 1 to {MAX_ID_BYTES} bytes.")
            raise _refused(slot, "INVALID_CONTEXT", [fault])
        return self._sender(request) | context

    def _sender(self, request: Request) -> dict[str, Any]:
        """A browser that asks for its own user shows where and what it is; what the context says counts before it."""
        origin = self._door.origin(request)
        if not asked_by_browser(origin.user_agent):
            return {}
        language = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
        return {"ip": origin.ip, "userAgent": origin.user_agent} | ({"locale": language} if language else {})


def routes(evaluator: Evaluator) -> APIRouter:
    """`/ofrep/v1/evaluate/flags/{key}` and, for all slots at once, `/ofrep/v1/evaluate/flags`."""
    router = APIRouter(prefix="/ofrep/v1", tags=["decisions"])

    @router.post("/evaluate/flags/{key}", openapi_extra=documents.evaluation())
    async def evaluate(request: Request, key: str) -> Response:
        decisions = await evaluator.decisions(request, key)
        if key not in decisions.slots:
            detail = f"There is no such slot; there are {', '.join(decisions.slots)}."
            raise Problem(404, detail, extra={"key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": detail})
        return Response(orjson.dumps(flag(decisions.slots[key], decisions)), media_type=JSON)

    @router.post("/evaluate/flags", openapi_extra=documents.bulk_evaluation())
    async def evaluate_all(request: Request) -> Response:
        decisions = await evaluator.decisions(request, None)
        body = orjson.dumps({"flags": [flag(decision, decisions) for decision in decisions.slots.values()]})
        etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": etag})
        return Response(body, media_type=JSON, headers={"ETag": etag})

    return router


def flag(decision: Decision, decisions: Decisions) -> dict[str, Any]:
    """A decision as OFREP has it; metadata values are strings, numbers and booleans. No content: no value, the app's
    own default counts."""
    metadata: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "rule": decision.rule,
        "text": decision.text,
        "features": ",".join(decisions.features) if decision.slot == "feature_highlight" else None,
        "rules_version": decisions.rules_version,
        "model_version": decisions.model_version,
        "degraded": decisions.degraded,
    }
    answer: dict[str, Any] = {"key": decision.slot, "reason": decision.reason, "variant": decision.variant or "none"}
    answer |= {"value": decision.value} if decision.value is not None else {}
    answer["metadata"] = {name: value for name, value in metadata.items() if value is not None}
    return answer


def _refused(slot: str | None, code: str, faults: Any) -> Problem:
    detail = "The request is not valid: " + " ".join(f"{field}: {reason}" for field, reason in faults)
    extra = {"errorCode": code, "errorDetails": detail} | ({"key": slot} if slot is not None else {})
    return Problem(400, detail, faults, extra=extra)
