"""Asked before anything starts: is everything there, and may we? The clients would retry and end in a trace."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from elastic_transport import TlsError
from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    Elasticsearch,
    TransportError,
    UnsupportedProductError,
)
from kafka.admin import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError

from usher.access._logins import elasticsearch_login, kafka_login
from usher.access._probe import kafka_faults
from usher.settings import missing_files
from usher.stack.indices import INDICES, missing_fields
from usher.stack.topics import TOPICS

PATIENCE_S = 8


class AccessError(RuntimeError):
    """Something that is needed cannot be reached or used; the text has a sentence for each."""


def check_access(settings: dict[str, Any]) -> None:
    """All that the job needs: its files, broker, topics, Elasticsearch, indices, logins and the right to write."""
    files = missing_files(settings, ("model_dir", "rules_dir", "geo_database"))
    _refuse(*files, *_kafka(settings, TOPICS), *_elasticsearch(settings, _index_problems))


def check_servers(settings: dict[str, Any]) -> None:
    """Whether both servers answer and accept the login: before their topics and indices are made."""
    _refuse(*_kafka(settings), *_elasticsearch(settings))


def check_kafka(settings: dict[str, Any], topics: Iterable[str] = ()) -> None:
    """Whether Kafka answers, accepts the login and has these topics."""
    _refuse(*_kafka(settings, topics))


def check_elasticsearch(settings: dict[str, Any]) -> None:
    """Whether Elasticsearch answers and accepts the login."""
    _refuse(*_elasticsearch(settings))


def _refuse(*problems: str) -> None:
    if problems:
        raise AccessError("\n".join(problems))


def _kafka(settings: dict[str, Any], topics: Iterable[str] = ()) -> Iterator[str]:
    if faults := kafka_faults(settings):
        yield from faults
        return
    where, limit = f"Kafka at {settings['kafka']}", PATIENCE_S * 1000
    try:
        admin = KafkaAdminClient(**kafka_login(settings), bootstrap_timeout_ms=limit, request_timeout_ms=limit)
    except (KafkaError, OSError, ValueError):
        # the client tries a refused login again until its time is up, and says no more than that
        yield _refused(where, settings["kafka_security"])
        return
    try:
        there = admin.list_topics()
    except AuthorizationError as error:
        yield f"{where} forbids it ({type(error).__name__}): let {settings['kafka_user']} describe, read and write."
    except KafkaError as error:
        yield (
            f"{where} is there, but does not say which topics it has ({type(error).__name__}): check that the "
            "addresses which it advertises (advertised.listeners) can be reached from here."
        )
    else:
        if missing := [topic for topic in topics if topic not in there]:
            yield f"{where} has no topic {', '.join(missing)}: create what is missing with `usher setup`."
    finally:
        admin.close()


def _refused(where: str, security: str) -> str:
    if security.startswith("SASL"):
        return (
            f"{where} is there but does not accept the login by {security}: check "
            "USHER_KAFKA_SECURITY, USHER_KAFKA_SASL_MECHANISM, USHER_KAFKA_USER and USHER_KAFKA_PASSWORD."
        )
    return (
        f"{where} is there but hangs up on us: it seems to want a login, which {security} has not; check "
        "USHER_KAFKA_SECURITY (SASL_PLAINTEXT or SASL_SSL), USHER_KAFKA_USER and USHER_KAFKA_PASSWORD."
    )


Question = Callable[[Elasticsearch, dict[str, Any], str], Iterable[str]]
"""What is asked of a client that may raise; the last argument begins each sentence."""


def _known_to(client: Elasticsearch, settings: dict[str, Any], where: str) -> Iterable[str]:
    """The one question that needs no more than a login; whoever is forbidden it has one."""
    with suppress(AuthorizationException):
        client.indices.exists(index=settings["profiles_index"])
    return ()


def _elasticsearch(settings: dict[str, Any], ask: Question = _known_to) -> Iterator[str]:
    where = f"Elasticsearch at {settings['elasticsearch']}"
    login = elasticsearch_login(settings)
    # one that is down is no fault while another answers
    with Elasticsearch(**login, request_timeout=PATIENCE_S, max_retries=len(login["hosts"]) - 1) as client:
        try:
            yield from ask(client, settings, where)
        except AuthenticationException:
            yield (
                f"{where} does not accept the login: check USHER_ELASTICSEARCH_USER and USHER_ELASTICSEARCH_PASSWORD, "
                "or USHER_ELASTICSEARCH_API_KEY."
            )
        except AuthorizationException:
            yield f"{where} forbids reading about its indices: give the login the privilege view_index_metadata."
        except UnsupportedProductError:
            yield f"{where} is there, but something else than Elasticsearch: check USHER_ELASTICSEARCH."
        except TlsError as error:
            yield _untrusted(where, error)
        except (ApiError, TransportError) as error:
            yield f"{where} does not answer ({_short(error)}): check USHER_ELASTICSEARCH, and that it is up."


def _untrusted(where: str, error: TlsError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in error.message:
        return (
            f"{where} has a certificate that is not trusted: USHER_ELASTICSEARCH_CA names the PEM file of the "
            "authority to trust, and USHER_ELASTICSEARCH must have the host's name as the certificate has it."
        )
    return (
        f"{where} does not speak TLS ({_short(error)}): check whether USHER_ELASTICSEARCH has to begin with http://, "
        "and USHER_ELASTICSEARCH_CA."
    )


def _short(error: ApiError | TransportError) -> str:
    """The kind of fault: what the client says of it goes over several lines and nests."""
    return f"HTTP {error.status_code}" if isinstance(error, ApiError) else type(error).__name__


def _index_problems(client: Elasticsearch, settings: dict[str, Any], where: str) -> Iterator[str]:
    written = {alias: alias for alias in INDICES} | {"profiles": settings["profiles_index"]}
    missing = [index for index in written.values() if not client.indices.exists(index=index)]
    if missing:
        yield f"{where} has no index {', '.join(missing)}: create what is missing with `usher setup`."
    for alias, index in written.items():
        if index not in missing:
            yield from _field_problems(client, alias, index, where)
            yield from _write_problems(client, index, where)


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
