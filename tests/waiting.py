"""Waiting for what a server or a job will do: the one place where a test polls, and always with an end."""

import time
from collections.abc import Callable
from typing import Any

EVERY_S = 0.05


def until(found: Callable[[], Any], seconds: float, what: str, job: Any = None) -> Any:
    """What `found()` answers once that is true; an AssertionError after `seconds`, or when the `job` has ended."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        if job is not None and job.process.poll() is not None:
            raise AssertionError(f"The job ended while waiting for {what}.\n{job.tail()}")
        if time.monotonic() >= deadline:
            raise AssertionError(f"After {seconds} s still waiting for {what}." + (f"\n{job.tail()}" if job else ""))
        time.sleep(EVERY_S)  # between two looks
    return answer
