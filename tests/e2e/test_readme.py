"""What the README tells a stranger to type, typed in its order."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from usher.settings import ROOT

USHER = ".venv/bin/usher "


def commands() -> list[str]:
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    return [line.removeprefix(USHER) for line in lines if line.startswith(USHER)]


def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    environment = os.environ | {
        "USHER_HOME": str(tmp_path / "home"),
        "USHER_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
    }
    usher = [sys.executable, "-m", "usher.cli"]

    def run(command: str) -> str:
        words = [*usher, *shlex.split(command, comments=True)]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"usher {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("simulate --users 2 --seed 2 --to events.ndjson")
    try:
        printed = {command: run(command) for command in commands()}
    finally:
        run("down --wipe")
    profile = next(text for command, text in printed.items() if command.startswith("profile"))
    assert "welcome_message:" in profile
    assert len(printed) >= 9
