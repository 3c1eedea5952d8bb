"""The OpenAPI document and the service agree: schemathesis asks, and finds nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import ADMIN, READ, WRITE, Service

COLLECTOR = "^/v1/(track|identify|page|screen|alias|group|batch|import|tag)"
PASSES = {
    # of a batch in which one message is bad the others are taken: 200, with the bad one named; single bad messages are
    # those of `test_each_fault_names_its_field`
    "collector": (WRITE, COLLECTOR, 30, 100, ["--exclude-checks", "negative_data_rejection"]),
    "pixel": (WRITE, "^/v1/pixel", 30, 30, []),
    "decisions": (READ, "^/(ofrep|openapi|health)", 30, 100, []),
    # each reads whole topics
    "rights": (ADMIN, "^/(v1/users|dashboard)", 10, 20, ["--exclude-method", "DELETE"]),
}
"""A key, the paths it opens, how many cases each phase makes at most, and how many there must be at least in all."""


@pytest.mark.parametrize("name", PASSES)
def test_schemathesis_finds_nothing(service: Service, tmp_path: Path, name: str) -> None:
    """Its own command line, with every check but the one said above."""
    key, paths, cases, least, more = PASSES[name]
    document = tmp_path / "openapi.json"
    document.write_text(service.read.get("/openapi.json").text)
    command = [str(Path(sys.executable).with_name("st")), "run", str(document), "--url", service.url, "--seed", "1"]
    command += ["-n", str(cases), "-H", f"Authorization: Bearer {key}"]
    command += ["--include-path-regex", paths, "--phases", "examples,coverage,fuzzing", *more]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) generated", done.stdout)[-1]) >= least
