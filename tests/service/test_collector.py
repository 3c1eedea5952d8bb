"""The collector over HTTP and what it writes to a real Kafka."""

import base64
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import READ, WRITE, Service, Topic, serving
from waiting import until

from usher.service.collector import GIF
from usher.service.messages import LETTERS, TYPES
from usher.service.requests import MAX_BODY_BYTES
from usher.stack import Stack, _servers
from usher.stack.topics import create_topics

BODIES = {
    "track": {"userId": "ada", "event": "Signed Up"},
    "identify": {"userId": "ada", "traits": {"plan": "free"}},
    "page": {"anonymousId": "a1", "name": "Start"},
    "screen": {"anonymousId": "a1", "name": "Start"},
    "alias": {"userId": "ada", "previousId": "a1"},
    "group": {"userId": "ada", "groupId": "acme"},
}


@pytest.mark.parametrize("path", [*TYPES, *LETTERS])
def test_each_type(service: Service, events: Topic, path: str) -> None:
    kind = LETTERS.get(path, path)
    before = time.time() * 1000
    answer = service.write.post(f"/v1/{path}", json=BODIES[kind])
    after = time.time() * 1000
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    [record] = events.records(1)
    message = json.loads(record.value)
    assert message["type"] == kind
    assert {name: message[name] for name in BODIES[kind]} == BODIES[kind]
    assert record.key == (message.get("userId") or message["anonymousId"]).encode()
    assert before - 1 <= record.timestamp <= after, "the record's own time is when it was received"
    assert message["receivedAt"].endswith(f"{record.timestamp % 1000:03d}Z")


def test_one_bad_message_does_not_lose_the_others(service: Service, events: Topic) -> None:
    batch = [{"type": "track", "userId": f"u{n}", "event": "E"} for n in range(5)]
    del batch[3]["userId"]
    answer = service.write.post("/v1/batch", json={"batch": batch, "sentAt": "2026-01-01T00:00:00Z"})
    assert answer.status_code == 200
    assert (answer.json()["accepted"], [found["index"] for found in answer.json()["rejected"]]) == (4, [3])
    [error] = answer.json()["rejected"][0]["errors"]
    assert error["field"] == "/batch/3/userId" and "must name the user" in error["reason"]
    assert sorted(record.key for record in events.records(4)) == [b"u0", b"u1", b"u2", b"u4"]
    assert events.silent()


def test_a_message_that_is_too_deep_does_not_lose_the_others(service: Service, events: Topic) -> None:
    """JSON is read to some 1,000 levels and written to 254."""
    deep = json.loads("[" * 300 + "]" * 300)
    batch = [{"type": "track", "userId": f"u{n}", "event": "E"} for n in range(3)]
    batch[1]["properties"] = {"deep": deep}
    answer = service.write.post("/v1/batch", json={"batch": batch})
    assert (answer.status_code, [found["index"] for found in answer.json()["rejected"]]) == (200, [1])
    assert "nested too deeply" in answer.json()["rejected"][0]["errors"][0]["reason"]
    assert sorted(record.key for record in events.records(2)) == [b"u0", b"u2"]
    one = service.write.post("/v1/track", json=BODIES["track"] | {"context": {"deep": deep}})
    data = base64.b64encode(json.dumps(batch[1]).encode()).decode()
    seen = service.write.get("/v1/pixel/track", params={"data": data})
    for refused in (one, seen):
        assert (refused.status_code, "nested too deeply" in refused.json()["detail"]) == (400, True)
    assert events.silent()


def test_a_batch_lends_its_context(service: Service, events: Topic) -> None:
    batch = [{"type": "page", "userId": "u", "context": {"locale": "de-DE"}}]
    service.write.post("/v1/import", json={"batch": batch, "context": {"locale": "en-US", "app": {"name": "x"}}})
    context = json.loads(events.records(1)[0].value)["context"]
    assert (context["locale"], context["app"]) == ("de-DE", {"name": "x"})


def test_a_batch_without_a_good_message_is_refused(service: Service, events: Topic) -> None:
    answer = service.write.post("/v1/batch", json={"batch": [{"type": "track"}, 7]})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Bad Request", 400)
    assert [error["field"] for error in problem["errors"]] == ["/batch/0/event", "/batch/0/userId", "/batch/1"]
    assert events.silent()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"batch": 5}', b'{"batch": [], "context": 1}', b"\xff", b"NaN"])
def test_bodies_that_are_none(service: Service, body: bytes) -> None:
    answer = service.write.post("/v1/batch", content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_gzip(service: Service, events: Topic) -> None:
    packed = gzip.compress(json.dumps(BODIES["track"]).encode())
    headers = {"Content-Encoding": "gzip"}
    assert service.write.post("/v1/track", content=packed, headers=headers).status_code == 200
    assert json.loads(events.records(1)[0].value)["event"] == "Signed Up"
    assert service.write.post("/v1/track", content=packed[:-9], headers=headers).status_code == 400
    assert service.write.post("/v1/track", content=b"plain", headers=headers).status_code == 400
    assert service.write.post("/v1/track", content=packed, headers={"Content-Encoding": "br"}).status_code == 415


def test_sizes(service: Service) -> None:
    large = b'{"x":"' + b"x" * MAX_BODY_BYTES + b'"}'
    assert service.write.post("/v1/track", content=large).status_code == 413
    bomb = gzip.compress(large)
    assert len(bomb) < 2000
    assert service.write.post("/v1/track", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
    assert service.write.post("/v1/batch", json={"batch": [1] * 2501}).status_code == 400


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_pixel(service: Service, events: Topic, encode: object) -> None:
    message = {"writeKey": WRITE, "userId": "ada", "event": "Mail Opened", "properties": {"subject": "Grüße ÿ?>"}}
    data = encode(json.dumps(message, ensure_ascii=False).encode()).decode().rstrip("=")  # type: ignore[operator]
    answer = service.nobody.get("/v1/pixel/track", params={"data": data})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/gif", GIF)
    seen = json.loads(events.records(1)[0].value)
    assert seen["event"] == "Mail Opened" and "writeKey" not in seen
    assert service.nobody.get("/v1/pixel/track", params={"data": "%%%"}).status_code == 400
    assert service.nobody.get("/v1/pixel/mail", params={"data": data}).status_code == 404


def test_the_key_may_be_in_the_body(service: Service) -> None:
    """sendBeacon can set no header."""
    assert service.nobody.post("/v1/track", json=BODIES["track"] | {"writeKey": WRITE}).status_code == 200
    assert service.nobody.post("/v1/track", json=BODIES["track"] | {"writeKey": READ}).status_code == 403
    assert service.nobody.post("/v1/track", json=BODIES["track"] | {"writeKey": 5}).status_code == 401


def test_address_through_trusted_proxies_only(service: Service, events: Topic) -> None:
    """127.0.0.0/8 and 10.0.0.0/8 are trusted here: the client is the last hop that is neither."""
    hops = "198.51.100.66, 203.0.113.9, 10.1.2.3"
    service.write.post("/v1/track", json=BODIES["track"], headers={"X-Forwarded-For": hops, "User-Agent": "curl/8"})
    context = json.loads(events.records(1)[0].value)["context"]
    assert context == {"ip": "203.0.113.9", "userAgent": "curl/8"}


def test_address_without_trusted_proxies(ready: Stack, events: Topic, tmp_path: Path) -> None:
    with serving(ready.kafka, ready.elasticsearch, tmp_path) as service:
        until(lambda: service.write.post("/v1/track", json=BODIES["track"]).status_code == 200, 30, "Kafka")
        service.write.post(
            "/v1/track",
            json=BODIES["page"] | {"type": "track", "event": "E"},
            headers={"X-Forwarded-For": "203.0.113.9"},
        )
    messages = [json.loads(record.value) for record in events.records(2)]
    assert {message["context"]["ip"] for message in messages} == {"127.0.0.0"}, "truncated, and nobody's word taken"


def test_pages_of_other_origins_may_send(service: Service) -> None:
    asks = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = service.nobody.options("/v1/track", headers=asks)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_rates(ready: Stack, tmp_path: Path) -> None:
    with serving(ready.kafka, ready.elasticsearch, tmp_path, rate_events_s="5") as service:
        batch = {"batch": [{"type": "track", "userId": "u", "event": "E"}] * 5}
        until(lambda: service.write.post("/v1/batch", json=batch).status_code == 200, 30, "Kafka")
        answers = [service.write.post("/v1/batch", json=batch) for _ in range(2)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].json()["title"] == "Too Many Requests"


def test_kafka_away_and_back(tmp_path: Path, ready: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is away: 503 with Retry-After, in bounded time and memory; after it is back nothing is missing."""
    with Stack(tmp_path / "home") as stack:
        create_topics(stack.kafka)
        settings = {"ack_timeout_s": "2", "buffer_mib": "1"}
        with serving(stack.kafka, ready.elasticsearch, tmp_path, **settings) as service:
            sent = [send(service, n) for n in range(5)]
            until(lambda: send(service, 5)[0] == 200, 30, "Kafka")
            [kafka] = [server for server in stack.servers if server.name == "kafka"]
            ports = stack._state()["kafka"]
            stack._halt(kafka)
            with ThreadPoolExecutor(84) as pool:
                away = [*pool.map(lambda n: send(service, n, blob="x" * 20_000), range(6, 90))]
            assert {status for status, _ in away} == {503}
            why = " ".join(detail for _, detail in away)
            assert "has not acknowledged" in why, "those that fit into the buffer waited"
            assert "is behind" in why, "1 MiB holds 50 of them"
            assert service.read.post("/ofrep/v1/evaluate/flags/next_step", json={}).status_code == 200
            monkeypatch.setattr(
                _servers, "free_port", lambda wanted, **_: ports["port"] if wanted == 9092 else ports["controller_port"]
            )
            stack.up()
            again = [until(lambda n=n: send(service, n)[0] == 200, 60, f"message {n}") for n in range(90)]
            assert all(again) and len(sent) == 5
        found = everything(stack.kafka)
        assert found == {f"m{n}" for n in range(90)}


def send(service: Service, number: int, blob: str = "") -> tuple[int, str]:
    message = {"messageId": f"m{number}", "userId": "u", "event": "E", "properties": {"blob": blob}}
    answer = service.write.post("/v1/track", json=message)
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
        assert "again" in answer.json()["detail"]
    return answer.status_code, answer.json().get("detail", "")


def everything(bootstrap: str) -> set[str]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    partitions = [TopicPartition("events", number) for number in consumer.partitions_for_topic("events")]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found: set[str] = set()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for batch in consumer.poll(timeout_ms=500).values():
            found |= {json.loads(record.value)["messageId"] for record in batch}
    consumer.close()
    return found
