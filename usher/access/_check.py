"""Asked before the job starts: is everything there, and may we? Flink would retry for minutes and say it in a trace."""

import socket
from collections.abc import Iterator
from typing import Any

from elasticsearch import ApiError, AuthenticationException, AuthorizationException, Elasticsearch, TransportError
from kafka.admin import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError

from usher.access._logins import elasticsearch_login, kafka_login
from usher.stack.indices import INDICES, missing_fields
from usher.stack.topics import TOPICS

PATIENCE_S = 10


class AccessError(RuntimeError):
    """Something the job needs cannot be reached or used; the text has a sentence for each."""


def check_access(settings: dict[str, Any]) -> None:
    """Broker, login, topics, Elasticsearch, login, aliases and the right to write; all that is amiss in one error."""
    problems = [*_kafka_problems(settings), *_elasticsearch_problems(settings)]
    if problems:
        raise AccessError("\n".join(problems))


def _kafka_problems(settings: dict[str, Any]) -> Iterator[str]:
    where = f"Kafka at {settings['kafka']}"
    try:
        admin = KafkaAdminClient(**kafka_login(settings), bootstrap_timeout_ms=PATIENCE_S * 1000)
        try:
            missing = [topic for topic in TOPICS if topic not in admin.list_topics()]
        finally:
            admin.close()
    except AuthorizationError as error:
        yield f"{where} forbids it ({type(error).__name__}): let {settings['kafka_user']} describe, read and write."
    except (KafkaError, OSError, ValueError) as error:
        if _listens(settings["kafka"]):
            # the client tries a refused login again until its time is up, and says no more than that
            yield (
                f"{where} is there but does not accept the login by {settings['kafka_security']}: check "
                "USHER_KAFKA_SECURITY, USHER_KAFKA_SASL_MECHANISM, USHER_KAFKA_USER and USHER_KAFKA_PASSWORD."
            )
        else:
            yield f"{where} does not answer ({type(error).__name__}): check USHER_KAFKA, and that the broker is up."
    else:
        if missing:
            yield f"{where} has no topic {', '.join(missing)}: create what is missing with `usher setup`."


def _listens(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=2):
                return True
        except OSError:
            continue
    return False


def _elasticsearch_problems(settings: dict[str, Any]) -> Iterator[str]:
    where = f"Elasticsearch at {settings['elasticsearch']}"
    with Elasticsearch(**elasticsearch_login(settings), request_timeout=PATIENCE_S, max_retries=0) as client:
        try:
            written = {alias: alias for alias in INDICES} | {"profiles": settings["profiles_index"]}
            missing = [index for index in written.values() if not client.indices.exists(index=index)]
            if missing:
                yield f"{where} has no index {', '.join(missing)}: create what is missing with `usher setup`."
            for alias, index in written.items():
                if index not in missing:
                    yield from _field_problems(client, alias, index, where)
                    yield from _write_problems(client, index, where)
        except AuthenticationException:
            yield (
                f"{where} does not accept the login: check USHER_ELASTICSEARCH_USER and USHER_ELASTICSEARCH_PASSWORD, "
                "or USHER_ELASTICSEARCH_API_KEY."
            )
        except AuthorizationException:
            yield f"{where} forbids reading about its indices: give the login the privilege view_index_metadata."
        except (ApiError, TransportError) as error:
            yield (
                f"{where} does not answer as it should ({type(error).__name__}): check USHER_ELASTICSEARCH, "
                "and that it is up."
            )


def _field_problems(client: Elasticsearch, alias: str, index: str, where: str) -> Iterator[str]:
    """The mapping is strict: a job with a column more would have every document refused."""
    if fields := missing_fields(client, alias, index):
        cure = "`usher setup` adds them" if index == alias else "make it anew with `usher index create`"
        yield f"{where}: the index {index} has no field {', '.join(fields)}: {cure}."


def _write_problems(client: Elasticsearch, index: str, where: str) -> Iterator[str]:
    """Deleting a document that is not there takes the same right as the job's writes, and changes nothing."""
    try:
        answer = client.bulk(operations=[{"delete": {"_index": index, "_id": "usher-access-check"}}])
        outcome = answer["items"][0]["delete"]
        reason = outcome.get("error", {}).get("type") if outcome["status"] != 404 else None
    except AuthorizationException:
        reason = "forbidden"
    if reason:
        yield f"{where} does not let us write to {index} ({reason}): give the login the privilege write on it."
