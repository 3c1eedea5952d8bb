"""Kafka's topics as stores of records: read to their end, and written anew without some of them."""

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

Login = dict[str, Any]
"""Arguments of a client: `usher.access.kafka_login`."""
Place = tuple[int, int]
"""Partition and offset of a record."""
TRANSACTION_TIMEOUT_MS = 900_000
"""Kafka's own upper limit (transaction.max.timeout.ms)."""
ATTEMPTS = 10


def records(kafka: Login, topic: str) -> Iterator[Any]:
    """All committed records that a topic holds now, partition by partition."""
    consumer = _consumer(kafka)
    try:
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            partition = TopicPartition(topic, number)
            yield from _held(consumer, partition, consumer.end_offsets([partition])[partition])
    finally:
        consumer.close()


def unread(kafka: Login, group_id: str, topic: str, places: Iterable[Place]) -> int:
    """How many of these records a consumer group has not passed, by what it committed.

    Flink commits with each checkpoint. A group that never committed has no state to return to: it has none unread.
    """
    consumer = KafkaConsumer(**kafka, group_id=group_id, enable_auto_commit=False)
    try:
        numbers = consumer.partitions_for_topic(topic) or ()
        passed = {number: consumer.committed(TopicPartition(topic, number)) for number in numbers}
    finally:
        consumer.close()
    if all(offset is None for offset in passed.values()):
        return 0
    return sum((passed.get(partition) or 0) <= offset for partition, offset in places)


def rewrite(kafka: Login, topic: str, unwanted: Callable[[Any], bool]) -> int:
    """Write a topic anew without the unwanted records, and cut off what was there; how many were unwanted.

    Kafka deletes from the front only. So what is to stay is appended in one transaction, in order, and then the old
    part is cut off. A crash before the commit leaves all as it was. A crash after it leaves records twice until the
    next rewriting, which keeps one of each. Two at a time, in different processes: the transaction's id fences the
    first one off, which begins again. Each pause is longer than the attempt before it, so that one gets through.
    """
    for attempt in range(1, ATTEMPTS + 1):
        began = time.monotonic()
        try:
            if not any(unwanted(record) for record in records(kafka, topic)):
                return 0
            return _rewritten(kafka, topic, unwanted)
        except KafkaError as error:
            if attempt == ATTEMPTS or not _fenced(error):
                raise
        time.sleep(random.uniform(1, 3) * max(1.0, time.monotonic() - began))
    raise AssertionError("The last attempt returns or raises.")


def _rewritten(kafka: Login, topic: str, unwanted: Callable[[Any], bool]) -> int:
    producer = KafkaProducer(
        **kafka,
        transactional_id=f"usher-rewrite-{topic}",
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        max_request_size=4 << 20,
        linger_ms=20,
    )
    consumer = _consumer(kafka)
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


def _fenced(error: KafkaError) -> bool:
    """The client names the cause by its class, or in the text of the error that stopped the transaction.

    A commit that meets the fencing itself is answered with "unknown error". Had it been carried out all the same, then
    the next attempt would keep one of each.
    """
    return any(name in repr(error) for name in ("ProducerFenced", "InvalidProducerEpoch", "EndTxnResponse"))


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


def _consumer(kafka: Login) -> KafkaConsumer:
    # earliest: when retention or another rewriting cuts off what it reads, it must not skip the rest
    return KafkaConsumer(
        **kafka, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )


def _held(consumer: KafkaConsumer, partition: TopicPartition, end: int) -> Iterator[Any]:
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    while consumer.position(partition) < end:
        for batch in consumer.poll(timeout_ms=1000).values():
            yield from (record for record in batch if record.offset < end)
