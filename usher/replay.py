"""Replay: NDJSON to Kafka, every line as it is, bad ones too."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.progress import Progress

from usher.model.reference import millis_of

TOPIC = "events"
MAX_REQUEST_BYTES = 4 * 1024 * 1024
PATIENCE_S = 120
"""Longest wait for Kafka to acknowledge a record."""
_OVERHEAD_BYTES = 1024
"""Left free in a request for the record's headers and its batch."""

Record = tuple[int, bytes | None, bytes]


class ReplayError(RuntimeError):
    """A replay that stopped; the message says at which line and what to do."""


def replay(path: str | Path, bootstrap: str, live: bool = False, **login: Any) -> int:
    """Send each line of a file to the topic `events`; the number of records Kafka has acknowledged.

    >>> replay("events.ndjson", "localhost:9092")   # doctest: +SKIP

    The key is the line's `userId`, else `anonymousId`; the record time is its own `timestamp`, or now with `live`.
    `login` is what kafka-python needs beside the address (`usher.access.kafka_login`).
    """
    path = Path(path)
    if not path.is_file():
        raise ReplayError(f"{path} does not exist: give a file of one JSON message a line.")
    sender = producer(**{"bootstrap_servers": bootstrap} | login)
    try:
        return _send(sender, path, live)
    finally:
        sender.close()


def key_of(value: bytes) -> bytes | None:
    """The record key of a message as it is on the wire: its `userId`, else `anonymousId`; None if it has neither."""
    return _key(_parsed(value))


def producer(bootstrap_servers: str | list[str], **login: Any) -> KafkaProducer:
    """A producer that Kafka acknowledges in full, that writes each record once, and in order.

    `login` is what kafka-python needs beside the address (`usher.access.kafka_login`).
    """
    return KafkaProducer(
        bootstrap_servers=bootstrap_servers,
        **login,
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_REQUEST_BYTES,
        batch_size=256 * 1024,
        linger_ms=20,
    )


def records_of(path: Path, live: bool = False) -> Iterator[Record]:
    """What `replay` sends: record time in ms, key, value. A line without a usable time takes that of the one before."""
    previous = _now()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            value = line.rstrip(b"\r\n")
            message = _parsed(value)
            key = _key(message)
            _check_size(path, number, len(value) + len(key or b""))
            previous = _now() if live else _time(message, previous)
            yield previous, key, value


def _send(sender: KafkaProducer, path: Path, live: bool) -> int:
    pending: list[Any] = []
    count = 0
    with Progress(transient=True) as progress:
        task = progress.add_task(f"Replaying {path.name}", total=path.stat().st_size)
        try:
            for record_time, key, value in records_of(path, live):
                pending.append(sender.send(TOPIC, value=value, key=key, timestamp_ms=record_time))
                progress.advance(task, len(value) + 1)
                if len(pending) >= 10_000:
                    count += _acknowledged(sender, pending, path, count)
        finally:  # also when a line stops the replay: those before it are sent
            count += _acknowledged(sender, pending, path, count)
    return count


def _acknowledged(sender: KafkaProducer, pending: list[Any], path: Path, before: int) -> int:
    """Wait for all of them; the first that Kafka refused stops the replay."""
    waiting, count = [*pending], len(pending)
    pending.clear()
    sender.flush()
    for number, future in enumerate(waiting, before + 1):
        try:
            future.get(timeout=PATIENCE_S)
        except KafkaError as error:
            raise ReplayError(
                f"Kafka refused line {number} of {path} ({error}): see that the broker is up, that the topic "
                f"`{TOPIC}` exists, and that its max.message.bytes allows the line."
            ) from error
    return count


def _check_size(path: Path, number: int, size: int) -> None:
    limit = MAX_REQUEST_BYTES - _OVERHEAD_BYTES
    if size > limit:
        raise ReplayError(
            f"Line {number} of {path} has {size:,} bytes but a Kafka record may have {limit:,}: "
            f"shorten or remove that line. The {number - 1:,} lines before it were sent."
        )


def _parsed(value: bytes) -> dict[str, Any]:
    try:
        message = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _key(message: dict[str, Any]) -> bytes | None:
    ids = (message.get("userId"), message.get("anonymousId"))
    return next((value.encode(errors="replace") for value in ids if isinstance(value, str) and value), None)


def _time(message: dict[str, Any], previous: int) -> int:
    try:
        return max(0, millis_of(message["timestamp"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return previous


def _now() -> int:
    return time.time_ns() // 1_000_000
