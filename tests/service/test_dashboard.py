"""The dashboard's figures against independent arithmetic, and the page in a browser."""

import asyncio
import json
import time
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from running import ADMIN, Service, profile

from usher.model.reference import iso_of
from usher.rules.recent import HOUR_MS
from usher.service import scan
from usher.service.dashboard import figures, lately_figures, question
from usher.service.elastic import Elastic
from usher.service.recently import Recently, recently
from usher.service.scan import PEOPLE
from usher.stack import Stack

HOUR = time.time_ns() // 1_000_000 // HOUR_MS


def people() -> list[dict[str, Any]]:
    """Ten users: n steps completed for n = 0 … 9 (capped at 5), every other one came back, user 9 is a bot."""
    shown = {
        slot: {"content": "default_welcome", "rule": "r", "reason": "DEFAULT"}
        for slot in ("welcome_message", "next_step", "feature_highlight")
    }
    return [
        profile(
            f"dash-{n}",
            steps_completed=min(n, 5),
            sessions_total=1 + n % 2,
            content_shown=10,
            content_clicked=n,
            device_type="mobile",
            country="DE",
            engagement_score=50.0,
            decisions=shown,
            is_bot=n == 9,
            recent=json.dumps(recent(n)),
            first_seen=iso_of((HOUR - 50) * HOUR_MS + 1),
        )
        for n in range(10)
    ]


def recent(n: int) -> dict[str, list[list[int]]]:
    """User n was shown `tour` n times now and once 31 days ago, and clicked it twice if n is odd; completed after
    10 + n hours."""
    done = {
        "Content Shown|tour": [[HOUR - 31 * 24, 1], [HOUR, n]][: 1 + n],
        "Onboarding Completed|": [[HOUR - 40 + n, 1]],
    }
    done |= {"Content Shown|never": [[HOUR - 31 * 24, 5]], "Feedback Submitted|": [[HOUR - 1, 2]]}
    return done | ({"Content Clicked|tour": [[HOUR - 2, 1], [HOUR, 1]]} if n % 2 else {})


def test_clicks_are_counted_by_content() -> None:
    found = Recently()
    for one in people()[:9]:
        found.add(one, HOUR * HOUR_MS)
    for odd in ({"recent": None}, {"recent": "{"}, {}):
        found.add(odd, HOUR * HOUR_MS)
    [tour] = found.contents()
    assert (tour["content"], tour["shown"], tour["clicked"], tour["rate"]) == ("tour", 36, 8, 8 / 36)
    assert (tour["users"], tour["clickers"]) == (8, 4 / 8), "user 0 was shown it 31 days ago"
    assert (found.users, found.feedback, found.median_hours()) == (12, 18, 14)
    assert Recently().median_hours() is None


def test_pages_of_profiles(monkeypatch: pytest.MonkeyPatch, ready: Stack, client: Elasticsearch) -> None:
    """Page by page to the end, or to the limit; those seen last first."""
    mine = {"prefix": {"user_id": "dash-"}}
    for one in people():
        client.index(index="profiles", id=one["user_id"], document=one)
    client.indices.refresh(index="profiles")

    async def read() -> Recently:
        elastic = Elastic([ready.elasticsearch])
        try:
            return await recently(elastic, mine, HOUR * HOUR_MS)
        finally:
            elastic.close()

    monkeypatch.setattr(scan, "PAGE", 3)
    assert asyncio.run(read()).users == 10
    monkeypatch.setattr(scan, "SCANNED", 6)
    assert asyncio.run(read()).users == 6
    for one in people():
        client.delete(index="profiles", id=one["user_id"])


def test_figures(service: Service, client: Elasticsearch) -> None:
    for one in people():
        client.index(index="profiles", id=one["user_id"], document=one)
    client.indices.refresh(index="profiles")
    mine = {"filter": {"prefix": {"user_id": "dash-"}}}  # other tests' users are not counted here
    asked = question() | {"query": {"bool": PEOPLE["bool"] | mine}}
    found = figures(client.search(index="profiles", **asked)["aggregations"])
    assert (found["users"], found["active"], found["shown"]) == (9, 9, 90)
    assert found["returned"] == 4 / 9
    assert found["clicked"] == sum(range(9)) / 90
    assert [step["users"] for step in found["steps"]] == [8, 7, 6, 5, 4]
    [content] = found["slots"]["welcome_message"]
    assert (content["content"], content["users"], content["share"]) == ("default_welcome", 9, 1.0)
    page = service.nobody.get("/dashboard", auth=(ADMIN, ""))
    assert page.status_code == 200 and "default_welcome" in page.text and "<td>tour" in page.text
    assert "script" not in page.text and "unsafe-inline" in page.headers["content-security-policy"]
    for one in people():
        client.delete(index="profiles", id=one["user_id"])


def test_nobody_yet() -> None:
    empty: dict[str, Any] = {name: {"doc_count": 0, "value": None, "buckets": []} for name in question()["aggs"]}
    empty |= {name: {"value": 0.0} for name in ("content_shown", "content_clicked")}
    found = figures(empty)
    assert (found["users"], found["clicked"], found["returned"], found["engagement"]) == (0, None, None, None)
    lately = lately_figures(Recently())
    assert (lately["contents"], lately["hours"], lately["all"]) == ([], None, True)
