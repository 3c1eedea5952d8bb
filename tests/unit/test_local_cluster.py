"""Nothing of a cluster on this machine outlives it."""

import os
from pathlib import Path

from waiting import until

from usher.cluster import LocalCluster
from usher.stack import _process


def test_what_a_process_of_the_cluster_started_goes_with_it(tmp_path: Path) -> None:
    worker = f"sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/worker; while :; do sleep 1; done' & exec sleep 60"
    cluster = LocalCluster(tmp_path)
    pid = _process.spawn(["bash", "-c", worker], tmp_path / "log", tmp_path, dict(os.environ), None)
    cluster._started.append((pid, _process.started_at(pid) or ""))
    until(lambda: (tmp_path / "worker").exists() and (tmp_path / "worker").read_text(), 10, "the worker")
    started = int((tmp_path / "worker").read_text())
    cluster.__exit__(None, None, None)
    until(lambda: _process.started_at(started) is None, 5, "the worker to be gone")
