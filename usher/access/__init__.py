"""How Kafka and Elasticsearch are reached: the same settings for Flink's tables and for Python's clients.

>>> check_access(load())                    # doctest: +SKIP
>>> KafkaProducer(**kafka_login(load()))    # doctest: +SKIP
"""

from usher.access._check import AccessError, check_access, check_elasticsearch, check_kafka, check_servers
from usher.access._logins import elasticsearch_login, elasticsearch_options, kafka_login, kafka_options
from usher.access._said import SERVER_ERRORS, said

__all__ = [
    "SERVER_ERRORS",
    "AccessError",
    "check_access",
    "check_elasticsearch",
    "check_kafka",
    "check_servers",
    "elasticsearch_login",
    "elasticsearch_options",
    "kafka_login",
    "kafka_options",
    "said",
]
