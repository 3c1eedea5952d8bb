"""Put rules in force: `publish` proves them first, `rollback` takes an earlier version, `history` is who did what."""

import getpass
import json
import socket
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaProducer
from kafka.errors import KafkaError

from usher.rules.bundle import Bundle
from usher.rules.findings import Finding
from usher.rules.parse import texts
from usher.rules.problems import PublishError
from usher.rules.prove import prove
from usher.rules.topic import TOPIC, Action, Login, Publication, consumer_of, read_record, records
from usher.stack.topics import MAX_BUNDLE_BYTES, create_topics


def publish(login: Login, directory: Path, note: str = "", who: str = "", seconds: float = 60.0) -> Publication:
    """Prove the rules of a directory and put them in force; `PublishError` with every error that the prover found."""
    bundle = Bundle.load(directory)
    errors = [finding for finding in prove(bundle, total_s=seconds) if finding.severity == "error"]
    if errors:
        raise PublishError(_refusal(errors))
    return _append(login, "publish", bundle.version, texts(directory), note, who)


def rollback(login: Login, version: str, note: str = "", who: str = "") -> Publication:
    """Put a version in force again that was published before."""
    found = [one for one in history(login) if one.version == version]
    if not found:
        known = ", ".join(dict.fromkeys(one.version for one in history(login))) or "none yet"
        raise PublishError(f"Version '{version}' was never published. Remedy: use one of those that were: {known}.")
    return _append(login, "rollback", version, found[-1].files, note, who)


def history(login: Login, last: int | None = None) -> list[Publication]:
    """What was published, oldest first; `last` reads only so many records from the end."""
    try:
        consumer = consumer_of(login)
    except KafkaError as error:
        remedy = "Remedy: start it, or set USHER_KAFKA."
        raise PublishError(f"Kafka at {login['bootstrap_servers']} does not answer ({error}). {remedy}") from None
    try:
        return [one for one in map(read_record, records(consumer, last)) if one is not None]
    finally:
        consumer.close()


def _append(login: Login, action: Action, version: str, files: dict[str, str], note: str, who: str) -> Publication:
    create_topics(login["bootstrap_servers"])
    before = history(login, last=1)
    replaces = before[-1].version if before else None
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    publication = Publication(action, version, who or _whoami(), at, note, replaces, files)
    value = json.dumps(asdict(publication), ensure_ascii=False).encode()
    if len(value) > MAX_BUNDLE_BYTES:
        size, limit = f"{len(value):,}", f"{MAX_BUNDLE_BYTES:,}"
        raise PublishError(f"The bundle has {size} bytes, more than {limit}. Remedy: shorten rules or contents.")
    _send(login, value)
    return publication


def _send(login: Login, value: bytes) -> None:
    producer = KafkaProducer(**login, acks="all", compression_type="gzip", max_request_size=MAX_BUNDLE_BYTES + 1000)
    try:
        producer.send(TOPIC.topic, key=uuid.uuid4().hex.encode(), value=value, partition=TOPIC.partition).get(30)
    except KafkaError as error:
        remedy = "Remedy: see its log, then publish again."
        raise PublishError(f"Kafka did not take the bundle ({error}). {remedy}") from None
    finally:
        producer.close()


def _whoami() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _refusal(errors: list[Finding]) -> str:
    lines = [str(finding) for finding in errors[:50]]
    more = [f"... and {len(errors) - 50} more."] if len(errors) > 50 else []
    remedy = "Nothing was published. Remedy: correct the rules until `usher rules check` is content."
    return "\n".join([*lines, *more, remedy])
