"""The test databases of MaxMind, from the source distribution of maxminddb."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from usher.movielens import pip_command

BUILD = Path(__file__).parents[2] / "build"
DATABASES = "maxminddb-3.2.0/tests/data/test-data"


@pytest.fixture(scope="session")
def databases() -> Path:
    """The folder of MaxMind's test databases; fetched once into build/."""
    folder = BUILD / DATABASES
    if not folder.is_dir():
        BUILD.mkdir(exist_ok=True)
        subprocess.run([*pip_command(), "download", "-q", "--no-deps", "--no-binary", "maxminddb", "maxminddb==3.2.0"],
                       cwd=BUILD, check=True)  # fmt: skip
        with tarfile.open(BUILD / "maxminddb-3.2.0.tar.gz") as sdist:
            sdist.extractall(BUILD, filter="data")
    return folder
