"""Each test finds the servers empty."""

import pytest
from harness import wipe

from usher.stack import Stack


@pytest.fixture
def fresh(stack: Stack) -> Stack:
    wipe(stack)
    return stack
