"""The session's Kafka as a place to publish rules."""

from collections.abc import Iterator

import pytest
from published import unpublish

from usher.rules.topic import Login
from usher.stack import Stack


@pytest.fixture
def kafka(stack: Stack) -> Iterator[Login]:
    """The servers' Kafka, where nothing was published yet; nor is it afterwards."""
    unpublish(stack.kafka)
    yield {"bootstrap_servers": [stack.kafka]}
    unpublish(stack.kafka)
