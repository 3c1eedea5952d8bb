"""What a server or its client says of a fault, as a sentence for whoever typed a command."""

from elasticsearch import ApiError, TransportError
from kafka.errors import KafkaError

SERVER_ERRORS = (KafkaError, ApiError, TransportError)
"""What Kafka's and Elasticsearch's clients raise."""


def said(error: Exception) -> str:
    """One of SERVER_ERRORS in words.

    >>> said(KafkaError("the broker is gone"))
    'Kafka: KafkaError: the broker is gone. `usher check` says what is amiss.'
    """
    if isinstance(error, ApiError):
        return f"Elasticsearch refused it: {_reason(error)}."
    server = "Kafka" if isinstance(error, KafkaError) else "Elasticsearch"
    told = str(error).splitlines()[0] if str(error) else ""
    kind = type(error).__name__
    text = told if told.startswith(kind) else ": ".join(filter(None, (kind, told)))
    return f"{server}: {text.rstrip('.')}. `usher check` says what is amiss."


def _reason(error: ApiError) -> str:
    """Elasticsearch's own words, as `index [profiles-v2] already exists`; a bare status where it has none."""
    body = error.body.get("error", {}) if isinstance(error.body, dict) else {}
    reason = body.get("reason") if isinstance(body, dict) else None
    return str(reason or f"HTTP {error.status_code}").rstrip(".")
