"""The job as its users run it, in a process group of its own, and what it left in Kafka and Elasticsearch."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from waiting import until

from usher.features import LIFETIME_COUNTERS, ROLLING_COUNTERS
from usher.model.reference import iso_of, millis_of, profile_of
from usher.settings import ROOT
from usher.stack import Stack
from usher.stack.indices import INDICES, create_indices
from usher.stack.topics import TOPICS, create_topics

Message = dict[str, Any]
Timed = tuple[int, Message]
USERS = 20
"""How many visit in `Visits`."""
COUNTERS = (*LIFETIME_COUNTERS, "sessions_total", "active_ms", *ROLLING_COUNTERS)


def wipe(stack: Stack) -> None:
    """Empty topics and indices, as on the first day."""
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka)
    there = [topic for topic in TOPICS if topic in admin.list_topics()]
    if there:
        admin.delete_topics(there)
        until(lambda: not set(TOPICS) & set(admin.list_topics()), 30, "the topics to be gone")
    admin.close()
    with Elasticsearch(stack.elasticsearch) as client:
        for index in client.indices.get(index=[f"{alias}-*" for alias in INDICES]):  # also what a switch left behind
            client.indices.delete(index=index)
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)


class Job:
    """`usher run personalize`, its output and its end."""

    def __init__(self, stack: Stack, process: subprocess.Popen[bytes], output: Path, log: Path) -> None:
        self.stack, self.process, self.output, self.log = stack, process, output, log

    def kill(self) -> None:
        """As when the machine is gone: nobody gets to say goodbye."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def counts(self, seconds: float) -> dict[str, int]:
        """What a bounded run ends with."""
        assert self.process.wait(seconds) == 0, self.tail()
        printed = self.output.read_text()
        return dict(json.loads(printed[printed.rindex("{") :]))

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-6000:]


@contextmanager
def job(stack: Stack, folder: Path, *arguments: str, **settings: str) -> Iterator[Job]:
    """The job runs within; `settings` are those of conf/usher.yaml. Its keys are shared by two subtasks."""
    settings = {
        "kafka": stack.kafka,
        "elasticsearch": stack.elasticsearch,
        "dead_letters": str(folder / "dead"),
        "parallelism": "2",
    } | settings
    environment = os.environ | {f"USHER_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "usher.cli", "run", "personalize", *arguments]
    output, log = folder / f"{time.time_ns()}.out", folder / f"{time.time_ns()}.log"
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err, cwd=ROOT, start_new_session=True)
    running = Job(stack, process, output, log)
    try:
        yield running
    finally:
        running.kill()


def profiles(stack: Stack) -> dict[str, dict[str, Any]]:
    """All profiles by user."""
    with Elasticsearch(stack.elasticsearch) as client:
        client.indices.refresh(index="profiles")
        hits = client.search(index="profiles", size=10_000)["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


def ingested(stack: Stack) -> dict[tuple[str, str], int]:
    """How many records had each verdict and code."""
    with Elasticsearch(stack.elasticsearch) as client:
        client.indices.refresh(index="ingest")
        found = [hit["_source"] for hit in client.search(index="ingest", size=1000)["hits"]["hits"]]
    return {(row["verdict"], row["code"]): row["records"] for row in found}


def profile(stack: Stack, user: str) -> dict[str, Any]:
    """A user's profile as it is now, empty if there is none."""
    with Elasticsearch(stack.elasticsearch) as client:
        found = client.options(ignore_status=404).get(index="profiles", id=user)
    return dict(found.get("_source") or {})


class Sender:
    """Records into `events`; it remembers where each went."""

    def __init__(self, stack: Stack) -> None:
        self._producer = KafkaProducer(bootstrap_servers=stack.kafka, acks="all", linger_ms=5)

    def send(self, time_ms: int, value: bytes | None, key: bytes | None, partition: int | None = None) -> Any:
        return self._producer.send("events", value=value, key=key, timestamp_ms=time_ms, partition=partition)

    def message(self, message: Message, time_ms: int | None = None) -> Any:
        """A message under its user's key."""
        key = (message.get("userId") or message["anonymousId"]).encode()
        return self.send(
            millis_of(message["timestamp"]) if time_ms is None else time_ms, json.dumps(message).encode(), key
        )

    def erase(self, user: str, time_ms: int) -> Any:
        """The wish that somebody be erased."""
        wish = json.dumps({"userId": user, "requestedAt": iso_of(time_ms)}).encode()
        control = [("usher-control", b"erase")]
        return self._producer.send("events", value=wish, key=user.encode(), timestamp_ms=time_ms, headers=control)

    def close(self) -> None:
        self._producer.flush()
        self._producer.close()


def place(future: Any) -> tuple[int, int]:
    """Partition and offset that a record got."""
    metadata = future.get(30)
    return metadata.partition, metadata.offset


def records(stack: Stack, topic: str) -> list[tuple[bytes | None, dict[str, str]]]:
    """All that a topic holds: value and headers."""
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        left = sum(consumer.end_offsets(partitions).values())
        found = []
        while left:
            record = next(consumer)
            found.append((record.value, {name: value.decode() for name, value in record.headers}))
            left -= 1
        return found
    finally:
        consumer.close()


def expected(accepted: Iterable[Timed], silent: bool) -> dict[str, Any]:
    """A profile's counters by plain Python; `silent`: the user has long been gone."""
    times, events = zip(*accepted, strict=True)
    counted = profile_of(events, times, max(times) + 86_400_000 if silent else None)
    used = Counter(event["properties"]["feature"] for event in events if event.get("event") == "Feature Used")
    return {
        **{name: counted[name] for name in COUNTERS},
        "first_seen": millis_of(counted["first_seen"]),
        "last_seen": millis_of(counted["last_seen"]),
        "feature_counts": dict(used),
    }


def found(document: dict[str, Any]) -> dict[str, Any]:
    """The same of a profile."""
    return {
        **{name: document[name] for name in COUNTERS},
        "first_seen": millis_of(document["first_seen"]),
        "last_seen": millis_of(document["last_seen"]),
        "feature_counts": document["feature_counts"],
    }


def visit(user: int, number: int) -> Message:
    """A message of now; its kind depends on its number."""
    kinds: tuple[dict[str, Any], ...] = (
        {"type": "page"},
        {"type": "track", "event": "Feature Used", "properties": {"feature": f"feature_{user % 3}"}},
        {"type": "track", "event": "Onboarding Step Completed", "properties": {"step": "connect_data"}},
    )
    now = iso_of(time.time_ns() // 1_000_000)
    return {"messageId": f"{user}-{number}", "userId": f"user-{user}", "timestamp": now, **kinds[number % 3]}


class Visits:
    """Everybody's messages, sent now and remembered."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.sent = sender, defaultdict[str, list[Timed]](list)

    def send(self, numbers: range) -> None:
        for number in numbers:
            for user in range(USERS):
                message = visit(user, number)
                now = time.time_ns() // 1_000_000
                self.sender.message(message, now)
                self.sent[message["userId"]].append((now, message))

    def shown(self, stack: Stack) -> bool:
        """Whether every profile shows as many messages as were sent, or more."""
        documents = profiles(stack)
        return all(documents.get(user, {}).get("events_total", 0) >= len(sent) for user, sent in self.sent.items())
