"""What is stored of one person, everywhere; to export it, to erase it, and to see that it is gone."""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from usher.model.reference import iso_of
from usher.service.privacy import Pseudonyms
from usher.service.sink import CONTROL_HEADER, TOPIC

LOGS = ("decisions", "events_quarantined", "events_late")
"""Topics that nothing reads as a stream, so that they can be written anew without the person's records. `decisions` is
also what models are trained on."""
INDICES = {"profiles": "user_id", "identities": "user_id"}
"""Elasticsearch aliases with documents of people, each with the field that names the person."""
_OWN = ("user_id", "userId", "anonymousId")
"""Whose a record is: the first of these that it has, as the stream has it."""
TRANSACTION_TIMEOUT_MS = 900_000
"""Kafka's own upper limit (transaction.max.timeout.ms)."""

Names = tuple[str, ...]
Login = dict[str, Any]
"""Arguments of a client: `usher.access.kafka_login`, `elasticsearch_login`."""


class People:
    """`People(kafka_login(settings), elasticsearch_login(settings), Pseudonyms.load()).erase("ada")`.

    It reads whole topics, and so takes as long as they are.
    """

    def __init__(self, kafka: Login, elasticsearch: Login, pseudonyms: Pseudonyms) -> None:
        self._kafka, self._elasticsearch, self._pseudonyms = kafka, elasticsearch, pseudonyms

    def names(self, user_id: str) -> Names:
        """Under which ids the person is stored: pseudonyms, and the anonymous ids that were merged into them."""
        found = dict.fromkeys(self._pseudonyms.all(user_id))
        with Elasticsearch(**self._elasticsearch) as client:
            for name in list(found):
                owner = _source(client, "identities", name).get("user_id", name)
                merged = _source(client, "profiles", owner).get("anonymous_ids") or []
                found |= dict.fromkeys([owner, *merged])
        return tuple(found)

    def export(self, user_id: str) -> dict[str, Any]:
        """All that is stored of the person, by store; times as they were recorded."""
        names = self.names(user_id)
        answer: dict[str, Any] = {"user_id": user_id, "stored_as": list(names)}
        with Elasticsearch(**self._elasticsearch) as client:
            for index in INDICES:
                answer[index] = [found for name in names if (found := _source(client, index, name))]
        for topic in (TOPIC, *LOGS):
            answer[topic] = [
                {"record_time": iso_of(record.timestamp), "message": _readable(record.value)}
                for record in records(self._kafka, topic)
                if is_of(record, names)
            ]
        return answer

    def remaining(self, names: Names) -> dict[str, int]:
        """How much of the person is left in each store; looks in all of them, record by record."""
        left: dict[str, int] = {}
        with Elasticsearch(**self._elasticsearch) as client:
            for index in INDICES:
                left[index] = sum(bool(_source(client, index, name)) for name in names)
        for topic in (*LOGS, TOPIC):
            left[topic] = sum(is_of(record, names) for record in records(self._kafka, topic))
        return left

    def request_erasure(self, user_id: str) -> Names:
        """What takes effect at once: the stream is told, and forgets; profiles go. Returns the person's ids."""
        names, now_ms = self.names(user_id), time.time_ns() // 1_000_000
        producer = KafkaProducer(**self._kafka, acks="all", enable_idempotence=True)
        sent = [
            producer.send(
                TOPIC,
                json.dumps({"userId": name, "requestedAt": iso_of(now_ms)}).encode(),
                name.encode(),
                headers=[(CONTROL_HEADER, b"erase")],
                timestamp_ms=now_ms,
            )
            for name in names
        ]
        for future in sent:
            future.get(timeout=30)
        producer.close()
        self.delete_documents(names, now_ms)
        return names

    def delete_documents(self, names: Names, version: int) -> None:
        """Profiles, with a version that the stream's older writes cannot overtake."""
        with Elasticsearch(**self._elasticsearch) as client:
            for index, name in itertools.product(INDICES, names):
                try:
                    client.delete(index=index, id=name, version=version, version_type="external")
                except (NotFoundError, ConflictError):  # nothing there, or newer: see `erase`
                    continue

    def erase_logs(self, names: Names) -> dict[str, int]:
        """Decisions (the training data), quarantine and late topic without the person; how many records went."""
        return {topic: rewrite(self._kafka, topic, lambda record: is_of(record, names)) for topic in LOGS}

    def erase(self, user_id: str, patience_s: float = 30) -> dict[str, int]:
        """Erase and verify: what is left in each store, at the latest after `patience_s`.

        A running job may still write a profile or a decision from before the request; it deletes the profile itself,
        and the log is looked at again. Without a running job it does so when it next runs.
        """
        names = self.request_erasure(user_id)
        deadline = time.monotonic() + patience_s
        while True:
            self.erase_logs(names)
            left = self.remaining(names)
            if is_erased(left) or time.monotonic() > deadline:
                return left
            self.delete_documents(names, time.time_ns() // 1_000_000)
            time.sleep(1)


def is_erased(left: Mapping[str, int]) -> bool:
    """Nothing left but raw messages in `events`, which end with their retention and bring nobody back."""
    return not any(count for store, count in left.items() if store != TOPIC)


def is_of(record: Any, names: Names) -> bool:
    """Whether a record is the person's: by its key, or the user it names; by the id's text alone if it is not JSON."""
    value = record.value or b""
    if record.key is not None and record.key.decode(errors="replace") in names:
        return True
    if not any(form in value for name in names for form in _forms(name)):
        return False
    message = _readable(value)
    if not isinstance(message, dict):
        return True
    return next((message[field] for field in _OWN if message.get(field)), None) in names


def records(kafka: Login, topic: str) -> Iterator[Any]:
    """All committed records that a topic holds now, partition by partition."""
    consumer = KafkaConsumer(**kafka, isolation_level="read_committed", enable_auto_commit=False)
    try:
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            partition = TopicPartition(topic, number)
            yield from _held(consumer, partition, consumer.end_offsets([partition])[partition])
    finally:
        consumer.close()


def rewrite(kafka: Login, topic: str, unwanted: Callable[[Any], bool]) -> int:
    """Write a topic anew without the unwanted records, and cut off what was there; how many were unwanted.

    Kafka deletes from the front only. So what is to stay is appended in one transaction, in order, and then the old
    part is cut off. A crash before the commit leaves all as it was. A crash after it leaves records twice until the
    next rewriting, which keeps one of each. Two at a time: the transaction's id fences the first one off.
    """
    if not any(unwanted(record) for record in records(kafka, topic)):
        return 0
    producer = KafkaProducer(
        **kafka,
        transactional_id=f"usher-rewrite-{topic}",
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        max_request_size=4 << 20,
        linger_ms=20,
    )
    consumer = KafkaConsumer(**kafka, isolation_level="read_committed", enable_auto_commit=False)
    gone, ends = 0, {}
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            partition = TopicPartition(topic, number)
            ends[partition] = consumer.end_offsets([partition])[partition]
            gone += _copy(producer, _held(consumer, partition, ends[partition]), partition, unwanted)
        producer.commit_transaction()
    finally:
        producer.close()
        consumer.close()
    admin = KafkaAdminClient(**kafka)
    try:
        admin.delete_records(ends)
    finally:
        admin.close()
    return gone


def _copy(
    producer: KafkaProducer, held: Iterator[Any], partition: TopicPartition, unwanted: Callable[[Any], bool]
) -> int:
    gone, seen = 0, set()
    for record in held:
        said = repr((record.key, record.value, record.timestamp, record.headers)).encode()
        digest = hashlib.blake2b(said, digest_size=16).digest()
        if unwanted(record):
            gone += 1
        elif digest not in seen:
            seen.add(digest)
            producer.send(
                partition.topic,
                record.value,
                record.key,
                list(record.headers),
                partition.partition,
                timestamp_ms=record.timestamp,
            )
    return gone


def _held(consumer: KafkaConsumer, partition: TopicPartition, end: int) -> Iterator[Any]:
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    while consumer.position(partition) < end:
        for batch in consumer.poll(timeout_ms=1000).values():
            yield from (record for record in batch if record.offset < end)


def _forms(name: str) -> set[bytes]:
    """An id as it stands in JSON, escaped or not."""
    return {json.dumps(name).encode(), json.dumps(name, ensure_ascii=False).encode()}


def _readable(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"null")
    except (ValueError, RecursionError):
        return (value or b"").decode(errors="replace")


def _source(client: Elasticsearch, index: str, name: str) -> dict[str, Any]:
    try:
        return dict(client.get(index=index, id=name)["_source"])
    except (NotFoundError, BadRequestError):
        return {}
