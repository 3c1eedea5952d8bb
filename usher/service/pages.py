"""Health, the API's own description, and the tag that pages load."""

from pathlib import Path

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from usher.service import documents
from usher.service.requests import Door

TAG = Path(__file__).with_name("tag.js")


def routes(app: FastAPI, door: Door) -> APIRouter:
    """`/health` is open to all; `/openapi.json` needs a read key, `/v1/tag.js` a write key in its query."""
    router = APIRouter(tags=["service"])
    tag = TAG.read_bytes()

    @router.get("/health", openapi_extra={"responses": {"200": {"description": "The process answers."}}})
    async def health() -> Response:
        return Response(orjson.dumps({"status": "ok"}), media_type="application/json")

    @router.get("/openapi.json", openapi_extra=documents.file("read", "application/json"))
    async def openapi(request: Request) -> Response:
        door.admit(request, "read")
        return Response(orjson.dumps(app.openapi()), media_type="application/json")

    @router.get("/v1/tag.js", openapi_extra=documents.file("write", "text/javascript"))
    async def script(request: Request) -> Response:
        door.admit(request, "write", request.query_params.get("key"))
        return Response(tag, media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"})

    return router
