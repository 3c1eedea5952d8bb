"""The quarantine once more: what was refused goes back to `events`, as it came, to be judged anew."""

from typing import Any

from kafka import KafkaConsumer, TopicPartition

from usher.access import check_kafka, kafka_login
from usher.replay import PATIENCE_S, TOPIC, key_of, producer

QUARANTINE = "events_quarantined"


def requeue(settings: dict[str, Any], code: str | None = None) -> int:
    """Send each quarantined record (of that error code) that is there now; the number sent.

    Its record time is now: the windows of its first time are closed. What is still bad comes back to the quarantine;
    what was accepted meanwhile is a duplicate by its messageId within an hour, and after that counts once more.
    """
    check_kafka(settings, (TOPIC, QUARANTINE))
    sender, sent = producer(**kafka_login(settings)), 0
    consumer = KafkaConsumer(**kafka_login(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(QUARANTINE, n) for n in consumer.partitions_for_topic(QUARANTINE) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            waiting = [
                sender.send(TOPIC, value=record.value, key=key_of(record.value or b""))
                for partition, records in consumer.poll(timeout_ms=1000).items()
                for record in records
                if record.offset < ends[partition] and code in (None, _code(record))
            ]
            for future in waiting:
                future.get(PATIENCE_S)  # what Kafka does not take stops us: the rest stays where it is
            sent += len(waiting)
        return sent
    finally:
        consumer.close()
        sender.close()


def _code(record: Any) -> str | None:
    return next((value.decode() for name, value in record.headers if name == "error_code"), None)
