"""How long each store keeps what it holds, by setting."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan, streaming_bulk
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient

from usher.access import elasticsearch_login, kafka_login
from usher.model.reference import iso_of
from usher.service.letters import Letters
from usher.service.whose import readable

TOPICS = {
    "events": "retain_events_h",
    "events_quarantined": "retain_rejected_h",
    "events_late": "retain_rejected_h",
    "decisions": "retain_decisions_h",
}
"""Topic -> its setting."""
HOUR_MS = 3_600_000
NO_LIMIT = "no limit of time"
DELETED, SEEN_AGAIN = (200, 404), 409
"""What Elasticsearch answers to a deletion: done, or that the document is newer than what was searched."""
AT_ONCE = 1000


def retain(settings: dict[str, Any]) -> dict[str, str]:
    """Tell Kafka how long each topic lasts; delete profiles of users silent for longer, with their other ids, and dead
    letters as old; what was done, by store.

    Kafka counts from a record's own time, which for replayed history is that of the event.
    """
    hours = {topic: settings[name] for topic, name in TOPICS.items()}
    admin = KafkaAdminClient(**kafka_login(settings))
    try:
        admin.alter_configs([_resource(topic, limit) for topic, limit in hours.items()])
    finally:
        admin.close()
    done = {topic: f"{limit} h" if limit else NO_LIMIT for topic, limit in hours.items()}
    return done | _people(settings)


def _resource(topic: str, hours: int) -> ConfigResource:
    config = {"retention.ms": (AlterConfigOp.SET, str(hours * HOUR_MS if hours else -1))}
    return ConfigResource(ConfigResourceType.TOPIC, topic, config)


def _people(settings: dict[str, Any]) -> dict[str, str]:
    hours = settings["retain_profiles_h"]
    if not hours:
        return dict.fromkeys(("profiles", "identities", "dead_letters"), NO_LIMIT)
    before_ms = time.time_ns() // 1_000_000 - hours * HOUR_MS
    before = iso_of(before_ms)
    with Elasticsearch(**elasticsearch_login(settings), request_timeout=600) as client:
        client.indices.refresh(index=["profiles", "identities"])
        profiles = _delete(client, _silent(client, before))
        identities = _delete(client, _left_behind(client, before_ms))
    letters = Letters(Path(settings["dead_letters"])).drop(lambda line: _refused_at(line) < before)
    return {"profiles": f"{hours} h, {profiles}", "identities": identities, "dead_letters": f"{letters} deleted"}


# delete_by_query is a module that not every node has, so what is to be deleted is looked up
def _silent(client: Elasticsearch, before: str) -> Iterable[dict[str, Any]]:
    query = {"range": {"updated_at": {"lt": before}}}
    return scan(client, index="profiles", query={"query": query, "_source": False, "seq_no_primary_term": True})


def _left_behind(client: Elasticsearch, before_ms: int) -> Iterator[dict[str, Any]]:
    """Other ids of users without a profile: it was deleted just now, or by a run that could not end.

    A document's version is the window time at which it was written; the profile of a newer one may be on its way.
    """
    wanted = {"version": True, "seq_no_primary_term": True, "_source": ["user_id"]}
    old = (hit for hit in scan(client, index="identities", query=wanted) if hit["_version"] < before_ms)
    while hits := list(islice(old, AT_ONCE)):
        owners = sorted({hit["_source"]["user_id"] for hit in hits})
        known = {doc["_id"] for doc in client.mget(index="profiles", ids=owners, source=False)["docs"] if doc["found"]}
        yield from (hit for hit in hits if hit["_source"]["user_id"] not in known)


def _delete(client: Elasticsearch, hits: Iterable[dict[str, Any]]) -> str:
    """The outcome in words. What was written since it was found stays."""
    deletes = (
        {
            "_op_type": "delete",
            "_index": hit["_index"],
            "_id": hit["_id"],
            "if_seq_no": hit["_seq_no"],
            "if_primary_term": hit["_primary_term"],
        }
        for hit in hits
    )
    gone, failed = 0, Counter[int]()
    for _, answer in streaming_bulk(client, deletes, raise_on_error=False):
        outcome = answer["delete"]
        if outcome["status"] in DELETED:
            gone += 1
        elif outcome["status"] != SEEN_AGAIN:
            failed[outcome["status"]] += 1
    told = [f"{count} refused with status {status}: run it again" for status, count in sorted(failed.items())]
    return ", ".join([f"{gone} deleted", *told])


def _refused_at(line: bytes) -> str:
    """When a dead letter was written; one that does not say so counts as old."""
    letter = readable(line)
    return str(letter.get("refused_at", "")) if isinstance(letter, dict) else ""
