"""What is stored of a person: exported, erased from every store, and verified; on real servers."""

import json
import time
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from running import Service, Topic, profile
from waiting import until

from usher.service.people import LOGS, People, is_erased, is_of, records, rewrite
from usher.service.privacy import Pseudonyms
from usher.service.retention import retain
from usher.settings import load
from usher.stack import Stack

HEADERS = [("error_code", b"late"), ("source_offset", b"7")]


def logins(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"bootstrap_servers": stack.kafka}, {"hosts": [stack.elasticsearch]}


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
    assert found["remaining"] == {"profiles": 0, "identities": 0, **dict.fromkeys(LOGS, 0), "events": 4}
    assert {topic: contents(ready, topic) for topic in LOGS} == others, (
        "nobody else lost anything, times and headers too"
    )
    assert client.exists(index="profiles", id="bob") and client.exists(index="profiles", id="carol2")
    assert service.admin.get("/v1/users/carol").json()["profiles"] == []


def test_usher_erase(ready: Stack, client: Elasticsearch) -> None:
    stored(ready, client, "dave")
    left = People(*logins(ready), Pseudonyms([])).erase("dave")
    assert is_erased(left), left
    assert left["events"] == 4, "the raw messages and the wish itself end with their retention"


def test_a_person_under_several_names(ready: Stack, client: Elasticsearch) -> None:
    """Both pseudonyms while keys rotate, and the anonymous ids that were merged."""
    pseudonyms = Pseudonyms([("k2", "2" * 32), ("k1", "1" * 32)])
    new, old = pseudonyms.all("erin")
    client.index(index="profiles", id=new, document=profile(new) | {"anonymous_ids": ["k2:device"]})
    client.index(index="profiles", id=old, document=profile(old))
    people = People(*logins(ready), pseudonyms)
    assert set(people.names("erin")) == {new, old, "k2:device"}
    assert is_erased(people.erase("erin"))
    assert not client.exists(index="profiles", id=new) and not client.exists(index="profiles", id=old)


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
        (None, b"", False),
    ],
)
def test_whose_record_it_is(key: bytes | None, value: bytes | None, mine: bool) -> None:
    class Record:
        pass

    record = Record()
    record.key, record.value = key, value  # type: ignore[attr-defined]
    assert is_of(record, ("ada", "Zoë")) is mine


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


def test_retention(ready: Stack, client: Elasticsearch) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

    long_ago = profile("silent") | {"updated_at": "2020-01-01T00:00:00Z"}
    client.index(index="profiles", id="silent", document=long_ago)
    client.index(index="profiles", id="active", document=profile("active"))
    settings = load(
        {
            "USHER_KAFKA": ready.kafka,
            "USHER_ELASTICSEARCH": ready.elasticsearch,
            "USHER_RETAIN_REJECTED_H": "24",
            "USHER_RETAIN_PROFILES_H": "2160",
        }
    )
    done = retain(settings)
    assert done["events"] == "no limit of time" and done["events_late"] == "24 h"
    assert not client.exists(index="profiles", id="silent") and client.exists(index="profiles", id="active")
    admin = KafkaAdminClient(bootstrap_servers=ready.kafka)
    told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "events_late")])
    assert str(24 * 3_600_000) in str(told)
    retain(
        load({"USHER_KAFKA": ready.kafka, "USHER_ELASTICSEARCH": ready.elasticsearch})
    )  # other tests write old records
    admin.close()
