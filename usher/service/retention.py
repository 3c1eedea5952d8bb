"""How long each store keeps what it holds, by setting."""

import time
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk, scan
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient

from usher.access import elasticsearch_login, kafka_login
from usher.model.reference import iso_of

TOPICS = {
    "events": "retain_events_h",
    "events_quarantined": "retain_rejected_h",
    "events_late": "retain_rejected_h",
    "decisions": "retain_decisions_h",
}
"""Topic -> its setting."""
HOUR_MS = 3_600_000


def retain(settings: dict[str, Any]) -> dict[str, str]:
    """Tell Kafka how long each topic lasts, delete profiles of users silent for longer; what was done, by store.

    Kafka counts from a record's own time, which for replayed history is that of the event.
    """
    hours = {topic: settings[name] for topic, name in TOPICS.items()}
    admin = KafkaAdminClient(**kafka_login(settings))
    try:
        admin.alter_configs([_resource(topic, limit) for topic, limit in hours.items()])
    finally:
        admin.close()
    done = {topic: f"{limit} h" if limit else "no limit of time" for topic, limit in hours.items()}
    return done | {"profiles": _profiles(settings)}


def _resource(topic: str, hours: int) -> ConfigResource:
    config = {"retention.ms": (AlterConfigOp.SET, str(hours * HOUR_MS if hours else -1))}
    return ConfigResource(ConfigResourceType.TOPIC, topic, config)


def _profiles(settings: dict[str, Any]) -> str:
    hours = settings["retain_profiles_h"]
    if not hours:
        return "no limit of time"
    before = iso_of(time.time_ns() // 1_000_000 - hours * HOUR_MS)
    with Elasticsearch(**elasticsearch_login(settings), request_timeout=600) as client:
        client.indices.refresh(index="profiles")
        query = {"query": {"range": {"updated_at": {"lt": before}}}, "_source": False}
        silent = scan(client, index="profiles", query=query)  # delete_by_query is a module that not every node has
        deletes = ({"_op_type": "delete", "_index": "profiles", "_id": found["_id"]} for found in silent)
        gone, _ = bulk(client, deletes, stats_only=True, raise_on_error=False)
    return f"{hours} h, {gone} deleted"
