"""The topics of the stream, and what each may hold."""

from typing import Any

from kafka.admin import KafkaAdminClient

MIB, GIB = 1 << 20, 1 << 30
PARTITIONS = 2
MAX_BUNDLE_BYTES = 8 * MIB
"""The largest bundle of rules; a record holds it compressed."""

# Retention is by size, not by age: a replayed history carries the times of its events, and Kafka would delete
# what is years old by its record timestamp as soon as it is written.
_KEEP = {"cleanup.policy": "delete", "retention.ms": -1}

# A quarantined or late record wraps the event that it is about, so it may be larger than any event.
_EVENTS = {**_KEEP, "retention.bytes": 4 * GIB, "max.message.bytes": MIB}
_WRAPPED = {**_KEEP, "retention.bytes": GIB, "max.message.bytes": 4 * MIB}

_CONFIGS = {
    "events": _EVENTS,
    "events_quarantined": _WRAPPED,
    "events_late": _WRAPPED,
    "decisions": _EVENTS,
    # one record is one published bundle under a key of its own: none is ever compacted away
    "rules": {"cleanup.policy": "compact", "max.message.bytes": MAX_BUNDLE_BYTES},
}

TOPICS = ("events", "events_quarantined", "events_late", "decisions", "rules")


def create_topics(bootstrap: str | list[str], names: tuple[str, ...] = TOPICS, **login: Any) -> tuple[str, ...]:
    """Create those of the topics that are not there yet; returns the names of those it created.

    `login` is what kafka-python needs beside the address (`usher.access.kafka_login`). How many brokers keep a copy is
    the cluster's own `default.replication.factor`.

    >>> create_topics("127.0.0.1:9092")
    ('events', 'events_quarantined', 'events_late', 'decisions', 'rules')
    """
    admin = KafkaAdminClient(**{"bootstrap_servers": bootstrap} | login)
    try:
        there = set(admin.list_topics())
        missing = tuple(name for name in names if name not in there)
        if missing:
            _create(admin, missing)
        return missing
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, names: tuple[str, ...]) -> None:
    wanted = {
        name: {
            "num_partitions": 1 if name == "rules" else PARTITIONS,  # bundles have an order
            "replication_factor": -1,  # the broker's default
            "configs": {key: str(value) for key, value in _CONFIGS[name].items()},
        }
        for name in names
    }
    admin.create_topics(wanted, wait_for_metadata=True)
