"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from usher.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One embedded stack for the whole session; its jars are those of the repository."""
    with Stack(Path(tmp_path_factory.mktemp("usher-home"))) as stack:
        yield stack
