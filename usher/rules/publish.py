"""Put rules in force: `publish` proves them first, `rollback` takes an earlier version, `history` is who did what."""

import getpass
import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaProducer
from kafka.errors import KafkaError

from usher.rules.bundle import Bundle
from usher.rules.findings import Finding
from usher.rules.parse import texts
from usher.rules.problems import PublishError, RulesError
from usher.rules.prove import prove
from usher.rules.topic import TOPIC, Action, Login, Publication, answers, consumer_of, read_record, records
from usher.stack.topics import MAX_BUNDLE_BYTES, create_topics


def publish(login: Login, directory: Path, note: str = "", who: str = "", seconds: float = 60.0) -> Publication:
    """Prove the rules of a directory and put them in force; `PublishError` with every error that the prover found."""
    files = _read(directory)
    bundle = Bundle.load(files)
    errors = [finding for finding in prove(bundle, total_s=seconds) if finding.severity == "error"]
    if errors:
        raise PublishError(_refusal(errors))
    return _append(login, "publish", bundle.version, files, note, who)


def rollback(login: Login, version: str, note: str = "", who: str = "") -> Publication:
    """Put a version in force again that was published before; `PublishError` if this release cannot load it."""
    published = history(login)
    found = [one for one in published if one.version == version]
    if not found:
        known = ", ".join(dict.fromkeys(one.version for one in published)) or "none yet"
        raise PublishError(f"Version '{version}' was never published. Remedy: use one of those that were: {known}.")
    try:
        Bundle.load(found[-1].files)
    except RulesError as error:
        remedy = "Remedy: use another version, or publish its rules corrected."
        raise PublishError(f"This release of Usher refuses version {version}:\n{error}\n{remedy}") from None
    return _append(login, "rollback", version, found[-1].files, note, who)


def history(login: Login, last: int | None = None) -> list[Publication]:
    """What was published, oldest first; `last` reads only so many records from the end."""
    with _asking(login):
        consumer = consumer_of(login)
        try:
            return [one for one in map(read_record, records(consumer, last)) if one is not None]
        finally:
            consumer.close()


def in_force(login: Login) -> Bundle | None:
    """The newest published bundle, which jobs and services decide by; None if nothing was published yet."""
    for publication in reversed(history(login)):
        try:
            return publication.bundle()
        except RulesError:
            continue  # who serves keeps the one before it, too
    return None


def _read(directory: Path) -> dict[str, str]:
    """The texts of a directory, read once: exactly what is proved is published, whoever edits it meanwhile."""
    Bundle.load(directory)  # says in sentences what of it cannot be read at all
    try:
        return texts(directory)
    except (OSError, UnicodeDecodeError) as error:
        remedy = "Remedy: publish again once nobody changes it."
        raise PublishError(f"{directory} was changed while it was read ({error}). {remedy}") from None


@contextmanager
def _asking(login: Login) -> Iterator[None]:
    """Where Kafka does not answer or refuses, that is said in a sentence."""
    where = f"Kafka at {', '.join(login['bootstrap_servers'])}"
    if not answers(login):  # else the client would insist for seconds
        raise PublishError(f"{where} does not answer. Remedy: start it, or set USHER_KAFKA.")
    try:
        yield
    except (KafkaError, OSError) as error:
        why = str(error) or type(error).__name__
        remedy = "Remedy: check the login that `usher settings` shows and what it is allowed to, and Kafka's log."
        raise PublishError(f"{where} does not do what is asked: {why}. {remedy}") from None


def _append(login: Login, action: Action, version: str, files: dict[str, str], note: str, who: str) -> Publication:
    before = history(login, last=1)
    with _asking(login):
        create_topics(login["bootstrap_servers"], (TOPIC.topic,), **login)
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
    limit = MAX_BUNDLE_BYTES + 1000
    with _asking(login):
        producer = KafkaProducer(**login, acks="all", compression_type="gzip", max_request_size=limit)
        try:
            producer.send(TOPIC.topic, key=uuid.uuid4().hex.encode(), value=value, partition=TOPIC.partition).get(30)
        finally:
            producer.close()


def _whoami() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _refusal(errors: list[Finding]) -> str:
    lines = [str(finding) for finding in errors[:50]]
    more = [f"... and {len(errors) - 50} more."] if len(errors) > 50 else []
    remedy = "Nothing was published. Remedy: correct the rules until `usher rules check` is content."
    return "\n".join([*lines, *more, remedy])
