"""A real standalone Flink on this machine: a JobManager and TaskManagers from the Flink that PyFlink's wheel holds."""

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from usher.cluster._rest import FlinkRest, RestError
from usher.settings import ROOT
from usher.stack import _jars, _process
from usher.stack._servers import HOST, free_port, tail

START_LIMIT_S = 90
PATIENCE_S = 15


class ClusterError(RuntimeError):
    """The cluster did not start; the text has the end of its log."""


def flink_home() -> Path:
    """The Flink in PyFlink's wheel, found without importing it."""
    spec = importlib.util.find_spec("pyflink")
    assert spec is not None and spec.origin is not None  # a requirement of this project
    return Path(spec.origin).parent


class LocalCluster:
    """`with LocalCluster(Path("home"), taskmanagers=2) as cluster: cluster.rest.jobs()`.

    `application`: the command of a JobManager that runs one job instead of taking them, and the `variables` it reads.
    The workers have Java and a bare PATH: no Python package of this project, and no setting of it.
    """

    def __init__(
        self,
        home: Path,
        taskmanagers: int = 2,
        slots: int = 1,
        application: str = "jobmanager.sh start-foreground",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.home, self.taskmanagers, self.slots = home, taskmanagers, slots
        self.application, self.variables = application, dict(variables or {})
        self.conf = home / "conf"
        self._started: list[tuple[int, str]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What `flink` on the command line needs to find this cluster."""
        return {
            "FLINK_CONF_DIR": str(self.conf),
            "FLINK_LOG_DIR": str(self.home / "log"),
            "PATH": os.pathsep.join((str(flink_home() / "bin"), str(Path(_jars.java()).parent), "/usr/bin", "/bin")),
        }

    def __enter__(self) -> Self:
        self._configure()
        try:
            self._spawn("jobmanager", f"exec {self.application}", self.variables)
            for number in range(self.taskmanagers):
                self._spawn(f"taskmanager-{number}", "exec taskmanager.sh start-foreground", {})
            self._await()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pid, started in reversed(self._started):
            _process.stop(pid, started, PATIENCE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # a TaskManager's Python workers may outlive it
        self._started.clear()

    def log(self, name: str = "jobmanager") -> str:
        """What a process of the cluster wrote."""
        return (self.home / "log" / f"{name}.log").read_text(errors="replace")

    def _configure(self) -> None:
        for folder in ("conf", "log", "tmp"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        shutil.copytree(flink_home() / "conf", self.conf, dirs_exist_ok=True)
        rest, rpc = free_port(8081), free_port(6123)
        config = yaml.safe_load((flink_home() / "conf" / "config.yaml").read_text())
        config |= yaml.safe_load((ROOT / "conf" / "flink" / "config.yaml").read_text())
        config |= self._own(rest, rpc)
        (self.conf / "config.yaml").write_text(yaml.safe_dump(config))
        self.rest = FlinkRest(f"http://{HOST}:{rest}")

    def _own(self, rest: int, rpc: int) -> dict[str, Any]:
        return {
            "jobmanager": {"rpc": {"address": HOST, "port": rpc}, "bind-host": HOST},
            "taskmanager": {"host": HOST, "bind-host": HOST},
            "rest": {"address": HOST, "port": rest},
            "taskmanager.numberOfTaskSlots": self.slots,
            "io.tmp.dirs": str(self.home / "tmp"),
        }

    def _spawn(self, name: str, command: str, variables: Mapping[str, str]) -> None:
        bare = {"HOME": str(self.home), "JAVA_HOME": str(Path(_jars.java()).resolve().parent.parent)}
        log = self.home / "log" / f"{name}.log"
        environment = {**bare, **self.environment, **variables}
        pid = _process.spawn(["bash", "-c", command], log, self.home, environment, None)
        self._started.append((pid, _process.started_at(pid) or ""))

    def _await(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not self._ready():
            for name, (pid, started) in zip(self._names(), self._started, strict=True):
                if not _process.is_ours(pid, started):
                    raise ClusterError(f"Flink's {name} ended while starting. Its log ends:\n{tail(self.log(name))}")
            if time.monotonic() > deadline:
                raise ClusterError(f"Flink was not ready after {START_LIMIT_S} s. Its log ends:\n{tail(self.log())}")
            time.sleep(0.2)

    def _names(self) -> list[str]:
        return ["jobmanager", *(f"taskmanager-{number}" for number in range(self.taskmanagers))]

    def _ready(self) -> bool:
        try:
            return len(self.rest.get("/taskmanagers")["taskmanagers"]) == self.taskmanagers
        except RestError:
            return False
