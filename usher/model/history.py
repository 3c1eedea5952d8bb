"""Event history to rows of the log: the same job, bounded, over the same `sql/`.

No row waits for others of its user, though the job is behind all the time: they are those a live job would have logged.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from usher.settings import ROOT

from ._bundle import ModelError


def is_events(file: Path) -> bool:
    """Whether the first line is a Segment message and not a decision."""
    try:
        with file.open() as lines:
            first = json.loads(lines.readline())
    except (OSError, ValueError):
        return False  # whoever reads it as a log of decisions says what is wrong with it
    return isinstance(first, dict) and "messageId" in first


def replayed(file: Path) -> list[dict[str, Any]]:
    """Replay a history of Segment messages on servers of its own, run the job to its end, and read what it decided."""
    from usher.model.log import documents
    from usher.replay import replay
    from usher.run import prepare
    from usher.settings import load
    from usher.stack import Stack

    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        addresses = {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
        prepare(load() | addresses)
        replay(file, stack.kafka)
        settings = addresses | {"catch_up_s": "0"}
        environment = os.environ | {f"USHER_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "usher.cli", "run", "personalize", "--bounded", "--json"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"The job failed on {file}:\n{done.stderr[-2000:]}")
        return documents(stack.kafka)
