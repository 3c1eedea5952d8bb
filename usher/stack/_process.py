"""Processes that outlive the command that started them, known by pid and start time."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any


def started_at(pid: int) -> str | None:
    """When the process started, as the system tells it; None if there is no such living process.

    With the pid it names one process for good: a pid is reused, a pid with its start time is not.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state in "ZX" else fields[18]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    return told.stdout.strip() or None


def is_ours(pid: int, started: str) -> bool:
    """Whether the process that we started lives."""
    return started_at(pid) == started


def spawn(command: list[str], log: Path, cwd: Path, env: dict[str, str], user: tuple[int, int] | None) -> int:
    """Start a process in a session of its own, so that Ctrl-C in the terminal does not reach it; returns its pid."""
    drop: dict[str, Any] = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as out:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env, start_new_session=True, **drop
        )
    process.returncode = 0  # no ResourceWarning when this handle goes: the process is to outlive it
    return process.pid


def stop(pid: int, started: str, patience_s: float) -> None:
    """Ask the process to end, wait, then insist. Does nothing to a process that is not the one we started."""
    for sign, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5)):
        if not is_ours(pid, started):
            break
        os.kill(pid, sign)
        until = time.monotonic() + wait_s
        while is_ours(pid, started) and time.monotonic() < until:
            time.sleep(0.05)
    reap(pid)


def reap(pid: int) -> None:
    """Collect the process if it was our own child and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
