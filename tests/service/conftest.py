"""One service for all tests that need nothing special of it, on the session's own Kafka and Elasticsearch."""

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch
from running import GROUP, Service, Topic, serving
from waiting import until

from usher.stack import Stack
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics


@pytest.fixture(scope="session")
def ready(stack: Stack) -> Stack:
    """The stack with topics and indices."""
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    return stack


@pytest.fixture(scope="session")
def service(ready: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that need nothing special of it."""
    folder = tmp_path_factory.mktemp("service")
    settings = {"trusted_proxies": "127.0.0.0/8 10.0.0.0/8", "cors_origins": "*", "ip_privacy": "full"}
    settings["decision_budget_ms"] = "5000"  # a busy machine is no degraded mode here
    settings |= {"group_id": GROUP, "dead_letters": str(folder / "dead-letters")}
    with serving(ready.kafka, ready.elasticsearch, folder, **settings) as service:
        until(
            lambda: service.write.post("/v1/track", json={"userId": "warm", "event": "Up"}).status_code == 200,
            30,
            "Kafka",
        )
        yield service


@pytest.fixture
def events(service: Service, ready: Stack) -> Iterator[Topic]:
    """What the service writes to Kafka during the test."""
    topic = Topic(ready.kafka)
    yield topic
    topic._consumer.close()


@pytest.fixture(scope="session")
def client(ready: Stack) -> Iterator[Elasticsearch]:
    with Elasticsearch(ready.elasticsearch) as client:
        yield client
