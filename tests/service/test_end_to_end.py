"""From an SDK's request to the next decision, through the real stream."""

from pathlib import Path
from typing import Any

import httpx
from harness import Job, job
from running import Service, serving
from waiting import until

from usher.run import VERDICTS, counts
from usher.settings import load
from usher.stack import Stack
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics

LEGAL: list[dict[str, Any]] = [
    {"type": "track", "userId": "Zoë/ü?#%2F", "event": "Grüße \U0001f600"},
    {"type": "track", "userId": "i" * 512, "event": "e" * 2048},
    {"type": "track", "anonymousId": "a", "userId": None, "event": "E", "properties": None, "context": None},
    {"type": "track", "userId": "u", "event": "E", "timestamp": "1990-01-01T00:00:00Z"},
    {"type": "track", "userId": "u", "event": "E", "timestamp": "2026-01-01T00:00"},
    {"type": "track", "userId": "u", "event": "E", "timestamp": "2026-01-01T00:00:00.123456789+05:30"},
    {"type": "track", "userId": "u", "event": "E", "timestamp": "", "sentAt": ""},
    {
        "type": "track",
        "userId": "u",
        "event": "E",
        "timestamp": "2031-01-01T00:00:00Z",
        "sentAt": "2031-01-01T00:00:01Z",
    },
    {
        "type": "track",
        "userId": "u",
        "event": "E",
        "timestamp": "2026-01-01T00:00:00Z",
        "sentAt": "1990-01-01T00:00:00Z",
    },
    {
        "type": "track",
        "userId": "u",
        "event": "Feature Used",
        "properties": {"feature": 7, "step": True, "x": {"y": [1]}},
    },
    {
        "type": "page",
        "userId": "u",
        "event": None,
        "context": {"ip": "not an address", "locale": "", "userAgent": None},
    },
    {"type": "identify", "userId": "u", "traits": {"email": "u@example.org"}, "integrations": {"All": True}},
    {"type": "group", "userId": "u", "groupId": "g"},
    {"type": "screen", "userId": "u", "properties": {"blob": "x" * 31_000}},
    {
        "type": "track",
        "userId": "u",
        "event": "E",
        "context": {"consent": {"categoryPreferences": {"personalization": True}}},
    },
]
"""Odd messages that the collector takes; the stream must take them too."""


def test_from_the_sdk_to_the_next_decision(tmp_path: Path) -> None:
    with Stack(tmp_path / "home") as stack:
        create_topics(stack.kafka)
        create_indices(stack.elasticsearch)
        settings = load() | {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        quick = {"decision_budget_ms": "5000"}
        # on a busy machine a record may be read seconds after it was sent, which is no lateness to be tested here
        running_job = job(stack, tmp_path, clock_lag_s="5")
        with serving(stack.kafka, stack.elasticsearch, tmp_path, **quick) as service, running_job as running:
            until(lambda: counted(service, "warm"), 150, "the job to count", running)
            for _ in range(2):
                assert used(service, "ada").status_code == 200
            until(lambda: highlight(service, "ada") == "analytics_tour", 90, "the decision", running)

            answer = service.write.post("/v1/batch", json={"batch": LEGAL})
            assert answer.json() == {"success": True}
            until(lambda: all_counted(settings), 90, "the odd messages", running)
            assert counts(settings)["quarantined"] == 0

            a_device_becomes_a_user(service, running)
            who_is_erased_stays_erased(service, running)


def counted(service: Service, user: str) -> bool:
    """Send until the job has counted two: what was sent before it ran may be late."""
    return used(service, user).status_code == 200 and highlight(service, user) == "analytics_tour"


def all_counted(settings: dict[str, Any]) -> bool:
    found = counts(settings)
    return found["read"] == sum(found[verdict] for verdict in VERDICTS)


def a_device_becomes_a_user(service: Service, running: Job) -> None:
    for _ in range(2):
        used(service, "device", "anonymousId", "reports")
    until(lambda: highlight(service, "device") == "reports_tour", 90, "the device's decision", running)
    service.write.post("/v1/identify", json={"userId": "grace", "anonymousId": "device"})
    until(lambda: highlight(service, "grace") == "reports_tour", 90, "the user's decision", running)
    assert highlight(service, "device") == "reports_tour", "asking by the old id finds the one profile"


def who_is_erased_stays_erased(service: Service, running: Job) -> None:
    verify = service.admin.delete("/v1/users/grace").json()["verify"]
    assert "also=device" in verify
    until(lambda: service.admin.get(verify).json()["erased"], 90, "the erasure", running)
    before = {"timestamp": "2026-01-01T00:00:00Z"}
    for name in ("grace", "device"):
        used(service, name, "userId", "reports", **before)
    used(service, "marker")
    until(lambda: service.admin.get("/v1/users/marker").json()["profiles"], 90, "what was sent last", running)
    assert service.admin.get(verify).json()["remaining"]["profiles"] == 0, "old events do not bring them back"
    assert highlight(service, "grace") != "reports_tour"


def used(service: Service, user: str, name: str = "userId", feature: str = "analytics", **more: str) -> httpx.Response:
    message = {name: user, "event": "Feature Used", "properties": {"feature": feature}} | more
    return service.write.post("/v1/track", json=message)


def highlight(service: Service, user: str) -> str:
    context = {"targetingKey": user, "ip": "91.10.20.30"}
    answer = service.read.post("/ofrep/v1/evaluate/flags/feature_highlight", json={"context": context})
    return str(answer.json()["value"])
