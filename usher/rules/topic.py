"""Published rules: each record of the compacted topic `rules` is one whole bundle, and the newest is in force.

A topic and not a shared folder, because every worker of the job reaches Kafka already. A record is never changed and
never compacted away (its key is its own), so the topic is the audit trail as well: who put what in force, and when.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition

from usher.rules.bundle import Bundle
from usher.stack.topics import MAX_BUNDLE_BYTES

TOPIC = TopicPartition("rules", 0)
Login = Mapping[str, Any]
"""What `usher.access.kafka_login` gives: the arguments of kafka-python's clients."""
Action = Literal["publish", "rollback"]


@dataclass(frozen=True)
class Publication:
    """One entry of the audit trail; `files` are the texts that make up the bundle, `replaces` the version before."""

    action: Action
    version: str
    who: str
    at: str
    note: str
    replaces: str | None
    files: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """What is said of it where its files are not wanted."""
        return {name: value for name, value in asdict(self).items() if name != "files"}

    def bundle(self) -> Bundle:
        """Its rules, as today's code loads them; `RulesError` if it refuses them."""
        bundle = Bundle.load(self.files)
        bundle.version = self.version  # as in the audit trail, whatever release of Usher wrote it
        return bundle


def answers(login: Login) -> bool:
    """Whether anything listens where Kafka should."""
    for server in login["bootstrap_servers"]:
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except (OSError, ValueError):  # nothing there, or no port
            continue
        return True
    return False


def consumer_of(login: Login) -> KafkaConsumer:
    """A consumer of the whole topic that belongs to no group: every worker reads all of it."""
    return KafkaConsumer(
        **login,
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_BUNDLE_BYTES,
        bootstrap_timeout_ms=10_000,
    )


def records(consumer: KafkaConsumer, last: int | None = None) -> Iterator[bytes]:
    """The values of the records that are there now; none if there is no such topic."""
    if TOPIC.partition not in (consumer.partitions_for_topic(TOPIC.topic) or ()):
        return
    consumer.assign([TOPIC])
    begin, end = (found([TOPIC])[TOPIC] for found in (consumer.beginning_offsets, consumer.end_offsets))
    consumer.seek(TOPIC, begin if last is None else max(begin, end - last))
    while consumer.position(TOPIC) < end:
        for record in consumer.poll(500).get(TOPIC, []):
            yield record.value


def read_record(value: bytes | None) -> Publication | None:
    """A record as it was written; None for anything else, which is no publication."""
    try:
        found = json.loads(value or b"")
        publication = Publication(**found)
    except (ValueError, TypeError):
        return None
    good = isinstance(publication.files, dict) and all(isinstance(text, str) for text in publication.files.values())
    return publication if good else None
