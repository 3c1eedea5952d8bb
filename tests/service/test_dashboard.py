"""The dashboard's figures against independent arithmetic, and the page in a browser."""

from typing import Any

from elasticsearch import Elasticsearch
from running import ADMIN, Service, profile

from usher.service.dashboard import figures, question


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
        )
        for n in range(10)
    ]


def test_figures(service: Service, client: Elasticsearch) -> None:
    for one in people():
        client.index(index="profiles", id=one["user_id"], document=one)
    client.indices.refresh(index="profiles")
    asked = question()
    asked["query"]["bool"]["filter"] = {"prefix": {"user_id": "dash-"}}  # other tests' users are not counted here
    found = figures(client.search(index="profiles", **asked)["aggregations"])
    assert (found["users"], found["active"], found["shown"]) == (9, 9, 90)
    assert found["returned"] == 4 / 9
    assert found["clicked"] == sum(range(9)) / 90
    assert [step["users"] for step in found["steps"]] == [8, 7, 6, 5, 4]
    [content] = found["slots"]["welcome_message"]
    assert (content["content"], content["users"], content["clicked"]) == ("default_welcome", 9, 36 / 90)
    page = service.nobody.get("/dashboard", auth=(ADMIN, ""))
    assert page.status_code == 200 and "default_welcome" in page.text
    assert "script" not in page.text and "unsafe-inline" in page.headers["content-security-policy"]
    for one in people():
        client.delete(index="profiles", id=one["user_id"])


def test_nobody_yet() -> None:
    empty: dict[str, Any] = {name: {"doc_count": 0, "value": None, "buckets": []} for name in question()["aggs"]}
    empty |= {name: {"value": 0.0} for name in ("content_shown", "content_clicked")}
    found = figures(empty)
    assert (found["users"], found["clicked"], found["returned"], found["engagement"]) == (0, None, None, None)
