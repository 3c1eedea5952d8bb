"""What the job could not write, and how long anything is kept: dead letters and `usher retain`."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from running import people, profile
from waiting import until

from usher.model.reference import iso_of
from usher.service import retention
from usher.service.retention import retain
from usher.service.whose import is_about
from usher.settings import load
from usher.stack import Stack


def letter(user: str, **more: Any) -> bytes:
    refused = {"refused_at": "2026-01-31T09:30:00Z", "status": 400, "index": "profiles", "id": user, "version": 1}
    return json.dumps(refused | {"document": profile(user)} | more).encode() + b"\n"


def test_dead_letters(ready: Stack, tmp_path: Path) -> None:
    """Whole lines go, in files of both subtasks; what the job appends meanwhile is in a new file and stays."""
    job = [tmp_path / f"profiles-{number}.ndjson" for number in range(2)]
    job[0].write_bytes(letter("jo") + letter("bob") + letter("jo", document=None) + b'{"id": "jo", "docu')
    job[1].write_bytes(letter("web", document=profile("jo")))
    jo = people(ready, tmp_path)
    assert [found["id"] for found in jo.export("jo")["dead_letters"][:2]] == ["jo", "jo"]
    assert jo.remaining(("jo",))["dead_letters"] == 4
    assert jo.erase_logs(("bob2",))["dead_letters"] == 0
    assert job[0].exists(), "a file without the person is left alone"
    with job[0].open("ab", buffering=0) as still_open, ThreadPoolExecutor(1) as pool:
        going = pool.submit(jo.erase_logs, ("jo",))
        until(lambda: not job[0].exists(), 60, "the file to be put aside")
        still_open.write(b"\n" + letter("opened before"))
        job[0].write_bytes(letter("opened after"))
        assert going.result()["dead_letters"] == 4
    assert jo.remaining(("jo",))["dead_letters"] == 0
    left = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    assert sorted(json.loads(line)["id"] for line in left.splitlines()) == ["bob", "opened after", "opened before"]


def test_a_dead_letter_is_about_its_document() -> None:
    assert is_about(letter("web", document=profile("ada")), ("ada",))
    assert is_about(letter("ada", document=None), ("ada",))
    assert not is_about(letter("eve", reason="not like ada"), ("ada",))


def test_retention(ready: Stack, client: Elasticsearch, tmp_path: Path) -> None:
    """A user silent for 90 days goes, with their other ids, and so do other ids that an interrupted run left behind."""
    servers = {"USHER_KAFKA": ready.kafka, "USHER_ELASTICSEARCH": ready.elasticsearch}
    letters = {"USHER_DEAD_LETTERS": str(tmp_path)}
    limits = {"USHER_RETAIN_REJECTED_H": "24", "USHER_RETAIN_PROFILES_H": "2160"}
    retain(load(servers | letters | limits))  # what other tests left
    long_ago = profile("silent") | {"updated_at": "2020-01-01T00:00:00Z"}
    client.index(index="profiles", id="silent", document=long_ago)
    client.index(index="profiles", id="active", document=profile("active"))
    now_ms = time.time_ns() // 1_000_000
    written = {"silent": 1_577_836_800_000, "active": 1_577_836_800_000, "gone": 1_577_836_800_000, "coming": now_ms}
    for owner, version in written.items():
        document = {"id": f"{owner}-web", "user_id": owner}
        client.index(index="identities", id=f"{owner}-web", document=document, version=version, version_type="external")
    now = iso_of(now_ms)
    (tmp_path / "profiles-0.ndjson").write_bytes(letter("old") + letter("new", refused_at=now))
    done = retain(load(servers | letters | limits))
    assert done["events"] == "no limit of time" and done["events_late"] == "24 h"
    assert (done["profiles"], done["identities"]) == ("2160 h, 1 deleted", "2 deleted")
    assert done["dead_letters"] == "1 deleted"
    assert not client.exists(index="profiles", id="silent") and client.exists(index="profiles", id="active")
    left = {owner for owner in written if client.exists(index="identities", id=f"{owner}-web")}
    assert left == {"active", "coming"}, "of users with a profile, or whose profile may be on its way"
    admin = KafkaAdminClient(bootstrap_servers=ready.kafka)
    told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "events_late")])
    assert str(24 * 3_600_000) in str(told)
    retain(load(servers | letters))  # other tests write old records
    admin.close()
    for index, name in (("profiles", "active"), ("identities", "active-web"), ("identities", "coming-web")):
        client.delete(index=index, id=name)


def test_retention_says_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by an index that a full disk made read-only; that a user was seen again meanwhile is no fault."""
    statuses = {"a": 200, "b": 409, "c": 403, "d": 403, "e": 404}

    def bulk(_: Any, deletes: Any, **__: Any) -> Iterator[tuple[bool, dict[str, Any]]]:
        for delete in deletes:
            status = statuses[delete["_id"]]
            yield status == 200, {"delete": {"_id": delete["_id"], "status": status}}

    monkeypatch.setattr(retention, "streaming_bulk", bulk)
    hits = [{"_index": "profiles-v1", "_id": name, "_seq_no": 1, "_primary_term": 1} for name in statuses]
    told = retention._delete(None, hits)  # type: ignore[arg-type]
    assert told == "2 deleted, 2 refused with status 403: run it again"
