"""How each server is configured, started and asked whether it is ready."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from usher.stack import _jars
from usher.stack._errors import StackError

HOST = "127.0.0.1"
KAFKA_HEAP, ELASTICSEARCH_HEAP = "512m", "1g"
ELASTICSEARCH_FLAGS = (  # those of its own distribution, as far as one node on loopback needs them
    "-Djava.security.manager=allow",
    "-XX:+UseG1GC",
    "-Dfile.encoding=UTF-8",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.disable.jmx=true",
    "-Dio.netty.noUnsafe=true",
    "-Dio.netty.noKeySetOptimization=true",
    "-Dio.netty.recycler.maxCapacityPerThread=0",
    "-Dio.netty.allocator.numDirectArenas=0",
)


class Kafka:
    """One broker, its own controller."""

    name, title = "kafka", "Kafka"
    patience_s = 20.0

    def prepare(self, home: Path, port: int = 9092) -> dict[str, Any]:
        """Write the configuration and format the log directory; what to run, as a dict for `spawn`.

        `port` is taken if it is free: the usual one, or that of one that ended by itself, where it is still asked for.
        """
        run, jars = home / "kafka", _jars.kafka_jars()
        run.mkdir(parents=True, exist_ok=True)
        port = free_port(port)
        controller = free_port(9093, taken={port})
        config = run / "server.properties"
        config.write_text(
            (_jars.CONF / "kafka.properties").read_text()
            + f"listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}\n"
            + f"controller.quorum.bootstrap.servers={HOST}:{controller}\n"
            + f"log.dirs={run / 'data'}\n"
        )
        log4j = _jars.CONF / "log4j2.properties"
        java, heap = _jars.java(), [f"-Xms{KAFKA_HEAP}", f"-Xmx{KAFKA_HEAP}"]
        options = [f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{jars}/*"]
        if not (run / "data" / "meta.properties").exists():
            self._format([java, *options], config)
        return {
            "command": [java, *heap, *options, "kafka.Kafka", str(config)],
            "cwd": run,
            "env": dict(os.environ),
            "user": None,
            "state": {"address": f"{HOST}:{port}", "port": port, "controller_port": controller},
        }

    @staticmethod
    def _format(command: list[str], config: Path) -> None:
        tool = [*command, "kafka.tools.StorageTool"]
        cluster = subprocess.run([*tool, "random-uuid"], check=False, capture_output=True, text=True).stdout.split()
        arguments = ["format", "--standalone", "--cluster-id", cluster[-1] if cluster else "", "--config", str(config)]
        ran = subprocess.run([*tool, *arguments], check=False, capture_output=True, text=True)
        if ran.returncode:
            raise StackError(f"Kafka's log directory could not be formatted:\n{tail(ran.stdout + ran.stderr)}")

    @staticmethod
    def ready(state: dict[str, Any], log: Path) -> bool:
        """Whether it takes requests: it says so in its log, and its port answers."""
        return "Kafka Server started" in log.read_text(errors="replace") and _listening(state["port"])

    @staticmethod
    def answers(state: dict[str, Any]) -> bool:
        return _listening(state["port"])


class Elasticsearch:
    """One node. It refuses to run as root, so root runs it as an unprivileged user."""

    name, title = "elasticsearch", "Elasticsearch"
    patience_s = 20.0

    def prepare(self, home: Path, port: int = 9200) -> dict[str, Any]:
        """Write the configuration; what to run, as a dict for `spawn`. `port` as Kafka's."""
        user = unprivileged_user() if os.geteuid() == 0 else None
        run, temporary = home / "elasticsearch", None
        run.mkdir(parents=True, exist_ok=True)
        server, java = _jars.elasticsearch_home(), _jars.java()
        if user and not may_enter(run, user):
            run = temporary = _temporary_dir(user)
        if user and not may_enter(server, user):
            server = Path(shutil.copytree(server, run / "server", dirs_exist_ok=True))
        port = free_port(port)
        _write_elasticsearch_config(run, port)
        if user:
            _give(run, user)
        tmp = str(run / "tmp")
        paths = [f"-Des.path.home={server}", f"-Des.path.conf={run / 'config'}", f"-Djava.io.tmpdir={tmp}"]
        heap = [f"-Xms{ELASTICSEARCH_HEAP}", f"-Xmx{ELASTICSEARCH_HEAP}"]
        main = ["-cp", f"{server}/lib/*", "org.elasticsearch.bootstrap.Elasticsearch"]
        return {
            "command": [java, *heap, *ELASTICSEARCH_FLAGS, *paths, f"-Djna.tmpdir={tmp}", *main],
            "cwd": run,
            "env": {**os.environ, "LIBFFI_TMPDIR": tmp, "ES_TMPDIR": tmp, "HOME": str(run)},
            "user": user,
            "state": {
                "address": f"http://{HOST}:{port}",
                "port": port,
                "temporary": str(temporary) if temporary else None,
            },
        }

    @staticmethod
    def ready(state: dict[str, Any], log: Path) -> bool:
        """Whether the cluster of one has formed and takes requests; it, and not who took its port meanwhile."""
        listens = f"HttpServerTransport publish_address {{{HOST}:{state['port']}}}" in log.read_text(errors="replace")
        return listens and _http_ok(state["address"] + "/_cluster/health?wait_for_status=yellow&timeout=1s")

    @staticmethod
    def answers(state: dict[str, Any]) -> bool:
        return _http_ok(state["address"])


def _write_elasticsearch_config(run: Path, port: int) -> None:
    for name in ("config", "data", "logs", "tmp"):
        (run / name).mkdir(parents=True, exist_ok=True)
    own = f"http.port: {port}\npath.data: {run / 'data'}\npath.logs: {run / 'logs'}\n"
    (run / "config" / "elasticsearch.yml").write_text((_jars.CONF / "elasticsearch.yml").read_text() + own)
    shutil.copy(_jars.CONF / "log4j2.properties", run / "config" / "log4j2.properties")


def unprivileged_user() -> tuple[int, int]:
    """Who runs Elasticsearch when we are root: (uid, gid) of `nobody`."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "Elasticsearch does not run as root, and there is no user `nobody` to run it as:"
            " run this command as an ordinary user."
        ) from None
    return entry.pw_uid, entry.pw_gid


def may_enter(path: Path, user: tuple[int, int]) -> bool:
    """Whether the user can reach what is in the directory: may pass it and every directory above it."""
    return all(_may_pass(os.stat(place), user) for place in (path, *path.parents))


def _may_pass(stat: os.stat_result, user: tuple[int, int]) -> bool:
    uid, gid = user
    bit = 0o100 if stat.st_uid == uid else 0o010 if stat.st_gid == gid else 0o001
    return bool(stat.st_mode & bit)


def _temporary_dir(user: tuple[int, int]) -> Path:
    path = Path(tempfile.mkdtemp(prefix="usher-elasticsearch-")).resolve()
    _give(path, user)
    if not may_enter(path, user):
        path.rmdir()
        raise StackError(
            "Elasticsearch runs as `nobody` when started by root, and `nobody` can enter neither USHER_HOME"
            f" nor {path.parent}: set USHER_HOME or TMPDIR to a directory open to all."
        )
    return path


def _give(path: Path, user: tuple[int, int]) -> None:
    """Make the user the owner of the directory and all in it."""
    for place in (path, *path.rglob("*")):
        os.chown(place, *user, follow_symlinks=False)


def free_port(preferred: int, taken: frozenset[int] | set[int] = frozenset()) -> int:
    """The preferred port if nobody listens on it, else one that the system gives."""
    for port in (preferred, *[0] * 10):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            if (found := int(probe.getsockname()[1])) not in taken:
                return found
    raise StackError(f"No free port was found on {HOST}.")


def _listening(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2):
            return True
    except OSError:
        return False


def _http_ok(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy on the way to loopback
    try:
        with direct.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def tail(text: str, lines: int = 12) -> str:
    """The last lines, the ones that usually tell why; without the frames of Java's stack traces."""
    told = [line for line in text.strip().splitlines() if not line.lstrip().startswith(("at ", "..."))]
    return "\n".join(told[-lines:])
