"""Records to Kafka, each acknowledged by all replicas before the client hears of it."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from usher.service.messages import Record
from usher.service.problems import Problem

TOPIC = "events"
CONTROL_HEADER = "usher-control"
RETRY_AFTER_S = 5
CONNECT_AGAIN_S = 1
LINGER_MS = 2
"""Concurrent requests share a produce request; each waits so much longer."""

log = logging.getLogger("usher.service")


class Unavailable(Problem):
    """503 with Retry-After: nothing was acknowledged that the client was not told of; it sends all of it again."""

    def __init__(self, why: str) -> None:
        super().__init__(503, f"{why} Send the same messages, with their messageId, again.", headers=_RETRY)


_RETRY = {"Retry-After": str(RETRY_AFTER_S)}


class Sink:
    """`await sink.send(records, received_ms)` returns when Kafka has them all; else it raises `Unavailable`.

    `login` is that of `usher.access.kafka_login`. A record that Kafka took just before it went away may be sent
    twice; the stream counts a messageId once.
    """

    def __init__(self, login: dict[str, Any], ack_timeout_s: float, buffer_bytes: int) -> None:
        self._login, self._ack_timeout_s, self._limit = login, ack_timeout_s, buffer_bytes
        self._producer: KafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.pending_bytes = 0

    async def start(self) -> None:
        """Connect in the background: the decision API serves whether Kafka is there or not."""
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        told = None
        while self._producer is None:
            try:
                self._producer = await asyncio.to_thread(self._new_producer)
            except Exception as error:  # a wrong certificate or name is no KafkaError, and may be put right, too
                if (kind := type(error).__name__) != told:
                    log.warning("Kafka was not reached (%s): asked again each %d s.", kind, CONNECT_AGAIN_S)
                told = kind
                await asyncio.sleep(CONNECT_AGAIN_S)

    def _new_producer(self) -> KafkaProducer:
        timeout_ms = int(self._ack_timeout_s * 1000)
        producer = KafkaProducer(
            **self._login,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            batch_size=256 * 1024,
            delivery_timeout_ms=timeout_ms,
            request_timeout_ms=max(timeout_ms - LINGER_MS - 1, 1),
            reconnect_backoff_max_ms=1000,  # back within a second of the broker, not within half a minute
            bootstrap_timeout_ms=timeout_ms,
            max_block_ms=timeout_ms,
        )
        try:
            producer.partitions_for(TOPIC)  # later sends find the metadata and never block the event loop
        except Exception:
            producer.close(timeout=0)
            raise
        return producer

    async def stop(self) -> None:
        """Whatever is under way is finished, within the time that a client waits anyway."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._producer is not None:
            await asyncio.to_thread(self._producer.close, self._ack_timeout_s)

    @property
    def connected(self) -> bool:
        """Whether Kafka was ever reached."""
        return self._producer is not None

    async def send(
        self, records: Sequence[Record], received_ms: int, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        """All records with `received_ms` as their Kafka timestamp, which is window time downstream."""
        if not records:
            return
        size = sum(len(record.value) for record in records)
        if self._producer is None:
            raise Unavailable("Kafka has not been reached yet.")
        if self.pending_bytes + size > self._limit:
            raise Unavailable(f"Kafka is behind: {self.pending_bytes:,} bytes wait for it already.")
        self.pending_bytes += size
        try:
            acknowledged = Acknowledged(len(records))
            for record in records:
                future = self._producer.send(TOPIC, record.value, record.key, headers, timestamp_ms=received_ms)
                future.add_both(acknowledged.one)
            await acknowledged.future
        except KafkaError as error:
            raise Unavailable(f"Kafka has not acknowledged the messages ({type(error).__name__}).") from error
        finally:
            self.pending_bytes -= size


class Acknowledged:
    """Counts a request's records down; the producer's thread calls `one`, the event loop awaits `future`."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left, self._lock = count, threading.Lock()
        self._error: BaseException | None = None
        self.future: asyncio.Future[None] = self._loop.create_future()

    def one(self, outcome: Any) -> None:
        """A record was acknowledged (its metadata) or not (an exception)."""
        with self._lock:
            self._left -= 1
            if isinstance(outcome, BaseException):
                self._error = outcome
            if self._left:
                return
        self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self.future.done():  # the client has gone
            return
        if self._error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(self._error)
