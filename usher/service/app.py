"""The ASGI application, put together from its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from usher.access import elasticsearch_login, kafka_login
from usher.service import collector, dashboard, documents, ofrep, pages, users
from usher.service.deciding import Decider
from usher.service.elastic import Elastic
from usher.service.guard import Guard
from usher.service.keys import Keys
from usher.service.messages import Reader
from usher.service.people import People
from usher.service.privacy import Pseudonyms
from usher.service.problems import Problem
from usher.service.profiles import Profiles
from usher.service.requests import Door
from usher.service.sink import Sink
from usher.settings import load

MIB = 1 << 20
RETRIES = "X-Retry-Count"
"""What Segment's SDKs say of themselves."""


def create(settings: dict[str, Any] | None = None) -> FastAPI:
    """The application; refuses to start with settings, keys, rules or a model that cannot be used."""
    settings = load() if settings is None else settings
    door = Door(
        Keys.load(Path(settings["service_keys"])),
        settings["rate_requests_s"],
        settings["rate_events_s"],
        settings["trusted_proxies"].split(),
    )
    pseudonyms = Pseudonyms.load()
    sink = Sink(kafka_login(settings), settings["ack_timeout_s"], settings["buffer_mib"] * MIB)
    elastic = Elastic(**elasticsearch_login(settings))
    profiles = Profiles(elastic, settings["decision_budget_ms"])
    decider = Decider(settings)
    people = People(kafka_login(settings), elasticsearch_login(settings), pseudonyms, settings)
    erasures = users.Erasures(people)
    evaluator = ofrep.Evaluator(door, pseudonyms, profiles, decider)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await sink.start()
        await evaluator.warm_up()
        yield
        await erasures.finish()
        await sink.stop()
        elastic.close()
        decider.close()

    app = FastAPI(
        title="Usher",
        version="1",
        description="Collector, decisions and the rights of users.",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(collector.routes(collector.Collector(door, Reader(pseudonyms, settings["ip_privacy"]), sink)))
    app.include_router(ofrep.routes(evaluator))
    app.include_router(users.routes(door, people, erasures))
    app.include_router(dashboard.routes(door, elastic, lambda: decider.bundle))
    app.include_router(pages.routes(app, door))
    documents.install(app)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    if settings["cors_origins"]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings["cors_origins"].split(),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "X-API-Key", RETRIES],
            expose_headers=["ETag", "Retry-After"],
            max_age=3600,
        )
    app.add_middleware(Guard)
    return app


async def _problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()


async def _http(request: Request, error: Exception) -> Response:
    """No such path, or another method than it has: then `Allow` names those of all routes there, not of the first."""
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == 405 and (route := request.scope.get("route")) is not None:
        there = request.app.openapi()["paths"].get(route.path.replace(":path}", "}"))
        headers = {"Allow": ", ".join(method.upper() for method in there)} if there else headers
    return Problem(error.status_code, f"{error.detail}.", headers=headers).response()
