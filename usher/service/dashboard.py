"""Does it work?  One page of figures over all profiles, asked of Elasticsearch when the page is opened."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

from usher.features import ONBOARDING_STEPS, SLOTS
from usher.rules import Bundle
from usher.service import documents
from usher.service.elastic import Elastic, ElasticError
from usher.service.lift import lift
from usher.service.problems import Problem
from usher.service.recently import DAYS, Recently, recently
from usher.service.requests import Door
from usher.service.scan import PEOPLE, SCANNED

CONTENT_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
CONTENTS = 12
"""Contents listed for each slot, those with the most users."""
LISTED = 30
"""Contents listed with their clicks, those shown most often."""
_SUMS: dict[str, Any] = {name: {"sum": {"field": name}} for name in ("content_shown", "content_clicked")}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True
)


def routes(door: Door, elastic: Elastic, bundle: Callable[[], Bundle]) -> APIRouter:
    """`/dashboard` and `/dashboard/lift`; a browser asks for the admin key as Basic user. `bundle` is that in force."""
    router = APIRouter(tags=["service"])
    page = documents.file("admin", "text/html")

    @router.get("/dashboard", openapi_extra=page)
    async def dashboard(request: Request) -> Response:
        door.admit(request, "admin")
        try:
            answer = await elastic.ask("POST", "profiles/_search", question())
            lately = await recently(elastic, PEOPLE, _now_ms())
        except ElasticError as error:
            raise _away(error) from error
        return _page("dashboard.html", figures(answer["aggregations"]) | lately_figures(lately))

    @router.get("/dashboard/lift", openapi_extra=page)
    async def does_it_help(request: Request) -> Response:
        door.admit(request, "admin")
        try:
            return _page("lift.html", await lift(elastic, bundle(), _now_ms()))
        except ElasticError as error:
            raise _away(error) from error

    return router


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _page(template: str, facts: dict[str, Any]) -> Response:
    page = _templates.get_template(template).render(facts)
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": CONTENT_SECURITY})


def _away(error: ElasticError) -> Problem:
    return Problem(503, f"The profiles were not reached ({error}).", headers={"Retry-After": "30"})


def question() -> dict[str, Any]:
    """All figures of all time in one search, no person in the answer; bots are left out."""
    people = {"query": PEOPLE, "size": 0, "track_total_hits": True}
    steps = {
        f"steps_{n}": {"filter": {"range": {"steps_completed": {"gte": n}}}} for n in range(len(ONBOARDING_STEPS) + 1)
    }
    slots = {slot: {"terms": {"field": f"decisions.{slot}.content", "size": CONTENTS}} for slot in SLOTS[:3]}
    return people | {
        "aggs": steps
        | slots
        | _SUMS
        | {
            "active_24h": {"filter": {"range": {"last_seen": {"gte": "now-24h"}}}},
            "returned": {"filter": {"range": {"sessions_total": {"gte": 2}}}},
            "engagement": {"avg": {"field": "engagement_score"}},
            "devices": {"terms": {"field": "device_type", "size": 5}},
            "countries": {"terms": {"field": "country", "size": 10}},
        }
    }


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Elasticsearch's answer as the page shows it; shares are None where nobody is there to share."""
    users = found["steps_0"]["doc_count"]
    return {
        "users": users,
        "active": found["active_24h"]["doc_count"],
        "returned": _share(found["returned"]["doc_count"], users),
        "clicked": _share(found["content_clicked"]["value"], found["content_shown"]["value"]),
        "shown": round(found["content_shown"]["value"]),
        "engagement": found["engagement"]["value"],
        "steps": [
            {
                "label": f"{n} or more",
                "users": (count := found[f"steps_{n}"]["doc_count"]),
                "share": _share(count, users),
            }
            for n in range(1, len(ONBOARDING_STEPS) + 1)
        ],
        "slots": {slot: [_content(bucket, users) for bucket in found[slot]["buckets"]] for slot in SLOTS[:3]},
        "groups": {
            name: [(bucket["key"], _share(bucket["doc_count"], users)) for bucket in found[name]["buckets"]]
            for name in ("devices", "countries")
        },
    }


def _content(bucket: dict[str, Any], users: int) -> dict[str, Any]:
    return {
        "content": bucket["key"],
        "users": bucket["doc_count"],
        "share": _share(bucket["doc_count"], users),
    }


def lately_figures(lately: Recently) -> dict[str, Any]:
    """What was counted user by user, as the page shows it; `all`: nobody was left out."""
    return {
        "days": DAYS,
        "read": lately.users,
        "all": lately.users < SCANNED,
        "contents": lately.contents()[:LISTED],
        "feedback": lately.feedback,
        "completed": len(lately.hours_to_complete),
        "hours": lately.median_hours(),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
