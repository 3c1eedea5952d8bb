"""The embedded stack: start it, find it, stop it."""

import json
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from usher.stack import _jars, _process
from usher.stack._errors import StackError
from usher.stack._servers import Elasticsearch, Kafka, tail

START_LIMIT_S = 90
Server = Kafka | Elasticsearch


class Stack:
    """A real Kafka broker and a real Elasticsearch node, as local processes on loopback.

    >>> with Stack() as stack:
    ...     print(stack.kafka, stack.elasticsearch)
    127.0.0.1:9092 http://127.0.0.1:9200

    All it keeps is under `home` (USHER_HOME, or .usher/ in the repository), so stacks with different homes run side
    by side. Data outlives `down()`, except where root has to keep Elasticsearch's in a temporary directory because
    the user that runs it cannot enter `home`.
    """

    servers: tuple[Server, ...] = (Kafka(), Elasticsearch())

    def __init__(self, home: Path | None = None) -> None:
        self.home = Path(home or os.environ.get("USHER_HOME") or _jars.REPO / ".usher").resolve()

    @property
    def kafka(self) -> str:
        """The broker's address, `host:port`."""
        return self._address("kafka")

    @property
    def elasticsearch(self) -> str:
        """Elasticsearch's address, `http://host:port`."""
        return self._address("elasticsearch")

    def up(self) -> Self:
        """Start what does not run yet and wait until it answers."""
        _jars.java()
        with _jars.lock(self._made(self.home) / "stack.lock"):
            missing = [server for server in self.servers if not self._runs(server, answering=True)]
            started: list[Server] = []
            try:
                for server in missing:
                    before = self._state().get(server.name) or {}
                    self._halt(server)
                    started.append(server)
                    self._start(server, before)
                for server in missing:
                    self._await(server)
            except BaseException:
                for server in started:
                    self._halt(server)
                raise
        return self

    def down(self, wipe: bool = False) -> None:
        """Stop what runs; with `wipe`, forget the data too."""
        if not self.home.exists():
            return
        with _jars.lock(self.home / "stack.lock"):
            for server in reversed(self.servers):
                self._halt(server)
                if wipe:
                    shutil.rmtree(self.home / server.name, ignore_errors=True)
            self._state_file.unlink(missing_ok=True)

    @property
    def fleeting(self) -> list[str]:
        """The servers that run and whose data will not outlive them, as the class says."""
        return [server.title for server in self.servers if (self._state().get(server.name) or {}).get("temporary")]

    def status(self) -> dict[str, dict[str, Any]]:
        """For each server: whether it runs, its address, its pid and its log."""
        return {server.name: self._status(server) for server in self.servers}

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    # one server

    def _start(self, server: Server, before: dict[str, Any]) -> None:
        plan = server.prepare(self.home, *([before["port"]] if before else []))
        self._made(self.home / "logs")
        try:
            pid = _process.spawn(plan["command"], self._log(server), plan["cwd"], plan["env"], plan["user"])
        except OSError as error:
            raise StackError(f"{server.title} could not be started: {error}.") from error
        self._record(server, {**plan["state"], "pid": pid, "started": _process.started_at(pid) or ""})

    def _await(self, server: Server) -> None:
        state, began = self._state()[server.name], time.monotonic()
        with _jars.step(f"start {server.title} on {state['address']}"):
            while not server.ready(state, self._log(server)):
                if not _process.is_ours(state["pid"], state["started"]):
                    raise self._failure(server, "ended while starting")
                if time.monotonic() - began > START_LIMIT_S:
                    raise self._failure(server, f"was not ready after {START_LIMIT_S} s")
                time.sleep(0.1)

    def _failure(self, server: Server, how: str) -> StackError:
        log = self._log(server)
        return StackError(f"{server.title} {how}. Its log, {log}, ends:\n{tail(log.read_text(errors='replace'))}")

    def _halt(self, server: Server) -> None:
        state = self._state().get(server.name)
        if state is None:
            return
        _process.stop(state["pid"], state["started"], server.patience_s)
        if state.get("temporary"):
            shutil.rmtree(state["temporary"], ignore_errors=True)
        self._record(server, None)

    def _runs(self, server: Server, answering: bool = False) -> bool:
        state = self._state().get(server.name)
        if state is None or not _process.is_ours(state["pid"], state["started"]):
            return False
        return server.answers(state) if answering else True

    def _status(self, server: Server) -> dict[str, Any]:
        state = self._state().get(server.name) or {}
        running = self._runs(server, answering=True)
        return {
            "running": running,
            "address": state.get("address") if running else None,
            "pid": state.get("pid") if running else None,
            "log": str(self._log(server)),
        }

    def _address(self, name: str) -> str:
        state = self._state().get(name)
        if state is None or not _process.is_ours(state["pid"], state["started"]):
            raise StackError(f"No embedded stack runs in {self.home}: start it with `usher up`.")
        return str(state["address"])

    # what is remembered

    @property
    def _state_file(self) -> Path:
        return self.home / "stack.json"

    def _state(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._state_file.read_text()))
        except FileNotFoundError:
            return {}

    def _record(self, server: Server, state: dict[str, Any] | None) -> None:
        known = {**self._state(), server.name: state}
        part = self._state_file.with_suffix(".part")
        part.write_text(json.dumps({name: kept for name, kept in known.items() if kept}, indent=2) + "\n")
        part.replace(self._state_file)

    def _log(self, server: Server) -> Path:
        return self.home / "logs" / f"{server.name}.log"

    @staticmethod
    def _made(path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        return path
