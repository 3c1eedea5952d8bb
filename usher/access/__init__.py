"""How Kafka and Elasticsearch are reached: the same settings for Flink's tables and for Python's clients.

>>> check_access(load())                    # doctest: +SKIP
>>> KafkaProducer(**kafka_login(load()))    # doctest: +SKIP
"""

from usher.access._check import AccessError, check_access
from usher.access._logins import elasticsearch_login, elasticsearch_options, kafka_login, kafka_options

__all__ = [
    "AccessError",
    "check_access",
    "elasticsearch_login",
    "elasticsearch_options",
    "kafka_login",
    "kafka_options",
]
