"""Who may do what, what the answers and the log give away, and that the API is as its document says."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import ADMIN, READ, WRITE, Service, serving

from usher.service.keys import Keys, KeysError, digest, new_key
from usher.service.problems import PROBLEM_JSON
from usher.stack import Stack

ROUTES = [
    ("POST", "/v1/track", "write"),
    ("POST", "/v1/batch", "write"),
    ("GET", "/v1/pixel/track", "write"),
    ("GET", "/v1/tag.js", "write"),
    ("POST", "/ofrep/v1/evaluate/flags", "read"),
    ("POST", "/ofrep/v1/evaluate/flags/next_step", "read"),
    ("GET", "/openapi.json", "read"),
    ("GET", "/dashboard", "admin"),
    ("GET", "/dashboard/lift", "admin"),
    ("GET", "/v1/users/ada", "admin"),
    ("DELETE", "/v1/users/ada", "admin"),
]
BODIES: dict[str, Any] = {
    "/v1/track": {"userId": "u", "event": "E"},
    "/v1/batch": {"batch": []},
    "/v1/pixel/track": None,
}


def call(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    params = {"data": "eyJ1c2VySWQiOiJ1IiwiZXZlbnQiOiJFIn0"} if "pixel" in path else None
    return client.request(method, path, json=BODIES.get(path, {}) if method == "POST" else None, params=params, **more)


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_each_key_opens_its_own_doors_only(service: Service, method: str, path: str, role: str) -> None:
    for name, client in (("write", service.write), ("read", service.read), ("admin", service.admin)):
        if name != role:
            answer = call(client, method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM_JSON)
    for headers in (
        {},
        {"X-API-Key": "wrong"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic !"},
        {"Authorization": "Digest x"},
    ):
        answer = call(service.nobody, method, path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM_JSON)
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_the_routes_above_are_all(service: Service) -> None:
    document = service.read.get("/openapi.json").json()
    closed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    named = {
        re.sub(r"ada$", "{user_id}", re.sub(r"next_step$", "{key}", path)).replace("pixel/track", "pixel/{kind}")
        for _, path, _ in ROUTES
    }
    siblings = {
        "/v1/identify",
        "/v1/page",
        "/v1/screen",
        "/v1/alias",
        "/v1/group",
        "/v1/import",
        "/v1/users/{user_id}/erasure",
    }
    assert {path for _, path in closed} == named | siblings | {"/health"}


def test_ways_to_show_a_key(service: Service) -> None:
    body = {"userId": "u", "event": "E"}
    for headers in ({"X-API-Key": WRITE}, {"Authorization": f"Bearer {WRITE}"}):
        assert service.nobody.post("/v1/track", json=body, headers=headers).status_code == 200
    assert service.nobody.post("/v1/track", json=body, auth=(WRITE, "")).status_code == 200


def test_known_and_unknown_users_look_alike(service: Service) -> None:
    """What a read key gets tells nothing of whether there is a profile."""
    answer = service.read.post("/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": "nobody-ever"}})
    assert answer.status_code == 200
    names = {name for flag in answer.json()["flags"] for name in flag["metadata"]}
    assert names == {"decision_id", "rule", "text", "features", "rules_version", "model_version", "degraded"}


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/track", "/openapi.json"])
def test_headers(service: Service, path: str) -> None:
    headers = service.nobody.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert "max-age" in headers["strict-transport-security"]
    assert "server" not in headers


def test_the_log_has_no_personal_data(ready: Stack, tmp_path: Path) -> None:
    secret = "grace.hopper@example.org"
    with serving(ready.kafka, ready.elasticsearch, tmp_path) as service:
        headers = {"X-Forwarded-For": "198.51.100.23", "User-Agent": secret, "Referer": secret, "X-Request-Id": secret}
        for client in (service.write, service.read, service.admin, service.nobody):
            for method in ("GET", "POST", "DELETE"):
                for path in ("/v1/track", "/v1/users/", "/ofrep/v1/evaluate/flags/", "/v1/pixel/"):
                    client.request(
                        method,
                        f"{path}{secret if path.endswith('/') else ''}",
                        headers=headers,
                        json={"userId": secret, "context": {"targetingKey": secret}, "timestamp": secret},
                    )
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        service.read.get("/v1/users/ada", params={"also": secret}, headers=headers | upgrade)
    log = service.log.read_text()
    assert log.count(" usher.service ") >= 48
    for personal in (secret, "198.51.100.23", "127.0.0.1:", WRITE, READ, ADMIN):
        assert personal not in log.replace(f"running on {service.url}", ""), personal


def test_a_fault_of_ours_is_a_problem_without_values(caplog: pytest.LogCaptureFixture) -> None:
    import asyncio
    import logging

    from usher.service.guard import Guard

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("grace.hopper@example.org")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with caplog.at_level(logging.INFO, "usher.service"):
        asyncio.run(Guard(fails)({"type": "http", "method": "GET"}, None, send))  # type: ignore[arg-type]
    assert (sent[0]["status"], json.loads(sent[1]["body"])["status"]) == (500, 500)
    assert "ValueError at test_security.py:" in caplog.text and "grace" not in caplog.text


# --- keys at rest


def test_keys_are_kept_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key, other = new_key(file, "read"), new_key(file, "admin")
    assert key not in file.read_text() and digest(key) in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    keys = Keys.load(file, {"USHER_WRITE_KEY": "local"})
    roles = [holder and holder.role for holder in map(keys.holder, (key, other, "local", key + "x", "", None))]
    assert roles == ["read", "admin", "write", None, None, None]


def test_keys_by_file(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("secret-1\n")
    keys = Keys.load(tmp_path / "none.json", {"USHER_READ_KEY_FILE": str(tmp_path / "read")})
    holder = keys.holder("secret-1")
    assert holder is not None and holder.role == "read"
    assert keys.holder("secret-1\n") is None


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(KeysError, match="usher keys new write"):
        Keys.load(file, {})
    with pytest.raises(KeysError, match="given twice"):
        Keys.load(file, {"USHER_WRITE_KEY": "same", "USHER_ADMIN_KEY": "same"})
    for text in ("{", '[{"role": "root", "sha256": "00"}]', '[{"role": "read"}]', "[5]"):
        file.write_text(text)
        with pytest.raises(KeysError, match="keys.json"):
            Keys.load(file, {"USHER_WRITE_KEY": "w"})
