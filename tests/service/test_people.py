"""What is stored of a person: exported, erased from every store, and verified; on real servers."""

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata
from running import Service, Topic, logins, people, profile, serving
from waiting import until

from usher.service.people import LOGS, People, is_erased
from usher.service.privacy import Pseudonyms
from usher.service.problems import PROBLEM_JSON
from usher.service.topics import records, rewrite
from usher.service.users import Erasures
from usher.service.whose import is_of
from usher.stack import Stack
from usher.stack.indices import create_index

HEADERS = [("error_code", b"late"), ("source_offset", b"7")]


def stored(stack: Stack, client: Elasticsearch, user: str) -> None:
    """Of `user` and of two others something in every store; the topics also hold what is no JSON."""
    producer = KafkaProducer(bootstrap_servers=stack.kafka, acks="all")
    for name in (user, "bob", f"{user}2"):
        client.index(index="profiles", id=name, document=profile(name, country="DE"))
        for number in range(3):
            event = json.dumps({"messageId": f"{name}-{number}", "userId": name, "event": "E"}).encode()
            decision = json.dumps({"user_id": name, "events_total": number}).encode()
            producer.send("events", event, name.encode(), timestamp_ms=1000 + number)
            producer.send("decisions", decision, name.encode(), timestamp_ms=1000 + number)
            producer.send("events_late", event, headers=HEADERS, timestamp_ms=1000 + number)
            producer.send("events_quarantined", event[:-1], headers=HEADERS, timestamp_ms=1000 + number)
    producer.send("events_late", b'{"userId": "bob", "properties": {"friend": "%s"}}' % user.encode())
    producer.send("events_quarantined", b"\xff\x00 nobody's")
    producer.flush()
    producer.close()


def contents(stack: Stack, topic: str) -> list[tuple[Any, ...]]:
    found = [(r.partition, r.timestamp, r.key, r.value, [*r.headers]) for r in records(logins(stack)[0], topic)]
    return sorted(found, key=repr)


def test_erasure_over_http(service: Service, ready: Stack, client: Elasticsearch) -> None:
    stored(ready, client, "carol")
    export = service.admin.get("/v1/users/carol").json()
    assert export["profiles"][0]["country"] == "DE"
    assert [len(export[topic]) for topic in ("events", *LOGS)] == [3, 3, 3, 3]
    assert export["decisions"][2] == {
        "record_time": "1970-01-01T00:00:01.002Z",
        "message": {"user_id": "carol", "events_total": 2},
    }
    others = {
        topic: [row for row in contents(ready, topic) if b'"carol"' not in (row[3] or b"") or b"friend" in row[3]]
        for topic in LOGS
    }
    control = Topic(ready.kafka)

    before = time.time()
    answer = service.admin.delete("/v1/users/carol")
    assert answer.status_code == 202
    [record] = control.records(1)
    wish = json.loads(record.value)
    assert (record.key, wish["userId"], record.headers) == (b"carol", "carol", [("usher-control", b"erase")])
    assert before - 1 <= record.timestamp / 1000 <= time.time() + 1

    verify = answer.json()["verify"]
    found = until(lambda: (seen := service.admin.get(verify).json())["erased"] and seen, 30, "the erasure")
    assert found["remaining"] == {
        "profiles": 0,
        "identities": 0,
        **dict.fromkeys(LOGS, 0),
        "events": 4,
        "dead_letters": 0,
        "stream": 0,
    }
    assert {topic: contents(ready, topic) for topic in LOGS} == others, (
        "nobody else lost anything, times and headers too"
    )
    assert client.exists(index="profiles", id="bob") and client.exists(index="profiles", id="carol2")
    assert service.admin.get("/v1/users/carol").json()["profiles"] == []


def test_usher_erase(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    stored(ready, client, "dave")
    left = people(ready, tmp_path).erase("dave")
    assert is_erased(left), left
    assert left["events"] == 4, "the raw messages and the wish itself end with their retention"


def test_a_person_under_several_names(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    """Both pseudonyms while keys rotate, and the anonymous ids that were merged."""
    pseudonyms = Pseudonyms([("k2", "2" * 32), ("k1", "1" * 32)])
    new, old = pseudonyms.all("erin")
    client.index(index="profiles", id=new, document=profile(new) | {"anonymous_ids": ["k2:device"]})
    client.index(index="profiles", id=old, document=profile(old))
    erin = people(ready, tmp_path, pseudonyms)
    assert set(erin.names("erin")) == {new, old, "k2:device", "erin"}
    assert is_erased(erin.erase("erin"))
    assert not client.exists(index="profiles", id=new) and not client.exists(index="profiles", id=old)


def test_what_was_stored_before_ids_became_pseudonyms(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    """The id itself is looked for too; the stream is told of it only where it is stored already."""
    stored(ready, client, "fay")
    pseudonyms = Pseudonyms([("k1", "1" * 32)])
    with_keys = people(ready, tmp_path, pseudonyms)
    assert [len(with_keys.export("fay")[store]) for store in ("profiles", *LOGS)] == [1, 3, 3, 3]
    control = Topic(ready.kafka)
    assert is_erased(with_keys.erase("fay"))
    assert {record.key.decode() for record in control.records(2)} == {"fay", pseudonyms("fay")}
    with_keys.request_erasure("never-seen")
    assert [record.key.decode() for record in control.records(1)] == [pseudonyms("never-seen")]
    assert control.silent()


def test_ids_of_before_are_found_without_a_profile(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    """`identities` alone knows them once retention has taken the profile."""
    for old in ("gus-web", "gus-phone"):
        client.index(index="identities", id=old, document={"id": old, "user_id": "gus"})
    gus = people(ready, tmp_path)
    assert set(gus.names("gus")) == set(gus.names("gus-web")) == {"gus", "gus-web", "gus-phone"}
    assert [found["id"] for found in gus.export("gus")["identities"]] == ["gus-web", "gus-phone"]
    assert gus.remaining(("gus",))["identities"] == 2
    assert is_erased(gus.erase("gus"))
    assert not client.exists(index="identities", id="gus-web")


def test_an_index_that_a_switch_left_behind(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    create_index("profiles", "profiles-left-behind", hosts=ready.elasticsearch)
    client.index(index="profiles-left-behind", id="hal", document=profile("hal"))
    hal = people(ready, tmp_path)
    assert hal.export("hal")["profiles"][0]["user_id"] == "hal"
    assert is_erased(hal.erase("hal"))
    assert not client.exists(index="profiles-left-behind", id="hal")
    client.indices.delete(index="profiles-left-behind")


def test_the_stream_is_pending_until_the_job_has_saved_its_state(ready: Stack, tmp_path: Path) -> None:
    group = f"job-{time.time_ns()}"
    ivy, admin = people(ready, tmp_path), KafkaAdminClient(**logins(ready)[0])
    wish = ivy.request_erasure("ivy")
    [(partition, offset)] = wish.places
    job = {"group_id": group, "dead_letters": str(tmp_path)}
    running = People(*logins(ready), Pseudonyms([]), job)
    assert running.remaining(*wish)["stream"] == 0, "it never committed: there is no state"
    for committed, pending in ((offset, 1), (offset + 1, 0)):
        at = {TopicPartition("events", partition): OffsetAndMetadata(committed, "", -1)}
        admin.alter_group_offsets(group, at)
        left = running.remaining(*wish)
        assert (left["stream"], is_erased(left)) == (pending, not pending)
    admin.close()


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_store_that_refuses_is_said_so(ready: Stack, tmp_path: Path, status: int) -> None:
    """Elasticsearch's answers are another kind of error than that it cannot be reached."""
    with refusing(status) as url, serving(ready.kafka, url, tmp_path) as service:
        for method, path in (("GET", "/v1/users/ada"), ("DELETE", "/v1/users/ada"), ("GET", "/v1/users/ada/erasure")):
            answer = service.admin.request(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM_JSON), answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert service.admin.get("/v1/users/ada/erasure", params={"wish": "7"}).status_code == 400


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """An Elasticsearch that says no to everything."""

    class Refuses(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_erasure_that_fails_is_said_by_its_kind_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[set[str]] = []
    begun, asked = threading.Event(), threading.Event()

    class Fails:
        def erase_logs(self, names: tuple[str, ...]) -> None:
            done.append(set(names))
            begun.set()
            assert asked.wait(10)
            if len(done) == 1:
                raise ValueError("ada")

    async def ask() -> None:
        erasures = Erasures(Fails())  # type: ignore[arg-type]
        erasures.add(("ada",))
        assert await asyncio.to_thread(begun.wait, 10)
        erasures.add(("eve",))
        erasures.add(("bob", "eve"))
        asked.set()
        await erasures.finish()

    asyncio.run(ask())
    assert done == [{"ada"}, {"eve", "bob"}], "one at a time, and those who wait share one"
    assert [record.getMessage() for record in caplog.records] == ["An erasure stopped (ValueError): ask for it again."]


def test_two_erasures_at_once(service: Service, ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    """Two DELETEs, and a command beside them: each would fence the others off. The last of them ends the service."""
    for name in ("kim", "lee", "max"):
        stored(ready, client, name)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(service.admin.delete, f"/v1/users/{name}") for name in ("kim", "lee")]
        command = pool.submit(people(ready, tmp_path).erase, "max", 90)
        verify = [future.result().json()["verify"] for future in asked]
        assert is_erased(command.result())
    for address in verify:
        until(lambda address=address: service.admin.get(address).json()["erased"], 90, "the erasure")
    assert {row[2] for row in contents(ready, "decisions") if row[2] in (b"kim", b"lee", b"max")} == set()
    assert "An erasure stopped" not in service.log.read_text()


@pytest.mark.parametrize(
    ("key", "value", "mine"),
    [
        (b"ada", None, True),
        (None, b'{"userId": "ada"}', True),
        (None, b'{"anonymousId": "ada"}', True),
        (None, b'{"userId": "eve", "anonymousId": "ada"}', False),
        (None, b'{"userId": "adam", "properties": {"friend": "ada"}}', False),
        (None, b'{"userId": "ada", "event": ', True),
        (None, b'{"userId": "adam", "event": ', False),
        (None, '{"userId": "Zoë"}'.encode(), True),
        (None, b'{"userId": "Zo\\u00eb"}', True),
        (None, b'["ada"]', True),
        (None, b'{"userId": 7, "anonymousId": "ada"}', True),
        (None, b'{"userId": 7}', True),
        (None, b'{"userId": 17}', False),
        (None, b'{"userId": true, "n": 7}', False),
        (None, b'{"type": "alias", "userId": "eve", "previousId": "ada"}', True),
        (None, b'{"userId": "a\\u0064a"}', True),
        (None, b'{"userId": "eve", "path": "C:\\\\ada"}', False),
        (None, b"", False),
    ],
)
def test_whose_record_it_is(key: bytes | None, value: bytes | None, mine: bool) -> None:
    class Record:
        pass

    record = Record()
    record.key, record.value = key, value  # type: ignore[attr-defined]
    assert is_of(record, ("ada", "Zoë", "7")) is mine


def test_a_rewriting_that_was_cut_off_is_mended(ready: Stack) -> None:
    """After a crash between commit and cutting off, each record is there twice: the next one keeps one of each."""
    producer = KafkaProducer(bootstrap_servers=ready.kafka)
    for _ in range(2):
        for number in range(4):
            producer.send("events_late", b"frank-%d" % number, partition=0, timestamp_ms=5 + number)
    producer.flush()
    producer.close()
    assert rewrite(logins(ready)[0], "events_late", lambda record: record.value == b"frank-3") == 2
    left = [record.value or b"" for record in records(logins(ready)[0], "events_late")]
    kept = [value for value in left if value.startswith(b"frank")]
    assert kept == [b"frank-0", b"frank-1", b"frank-2"], "in order"
    assert rewrite(logins(ready)[0], "events_late", lambda record: record.value == b"frank-3") == 0
