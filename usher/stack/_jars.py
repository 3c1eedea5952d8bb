"""Fetch the servers' jars with Maven, once, and lay them out."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from usher.stack._errors import MissingTool, StackError

REPO = Path(__file__).resolve().parents[2]
CONF = REPO / "conf" / "stack"
JAVA_VERSIONS = range(17, 24)  # Kafka 4 needs 17; Java 24 lost the security manager that Elasticsearch 7 needs


def servers_dir() -> Path:
    """Where the jars are kept, whichever the home: $USHER_SERVERS, else build/servers."""
    return Path(os.environ.get("USHER_SERVERS") or REPO / "build" / "servers").resolve()


def java() -> str:
    """The `java` to run the servers with, of a version that both can use."""
    path = _java_path()
    told = subprocess.run([path, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) not in JAVA_VERSIONS:
        have = found[1] if found else "an unknown version"
        raise MissingTool(
            f"Java {JAVA_VERSIONS[0]} to {JAVA_VERSIONS[-1]} is needed, but {path} is {have}:"
            " install OpenJDK 17 or point JAVA_HOME at one."
        )
    return path


def _java_path() -> str:
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=os.path.join(home, "bin")) if home else None
    path = path or shutil.which("java")
    if path is None:
        raise MissingTool("`java` is missing: install OpenJDK 17 (Debian and Ubuntu: openjdk-17-jdk-headless).")
    return path


def kafka_jars() -> Path:
    """The directory of the broker's jars.

    >>> classpath = f"{kafka_jars()}/*"
    """
    return _fetched("kafka", "Kafka")


def elasticsearch_home() -> Path:
    """A directory laid out as Elasticsearch's own: lib/ and modules/transport-netty4/."""
    return _fetched("elasticsearch", "Elasticsearch", arrange=_arrange_elasticsearch)


def _fetched(name: str, title: str, arrange: Callable[[Path], None] | None = None) -> Path:
    pom, target = CONF / f"{name}-pom.xml", servers_dir() / name
    if _is_current(target, pom):
        return target
    with lock(servers_dir() / f".{name}.lock"):
        if not _is_current(target, pom):
            part = target.with_name(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            with step(f"fetch {title}'s jars with Maven"):
                _copy_dependencies(pom, part)
            if arrange:
                arrange(part)
            shutil.copy(pom, part / "pom.xml")
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
    return target


def _is_current(target: Path, pom: Path) -> bool:
    stamp = target / "pom.xml"
    return stamp.is_file() and stamp.read_bytes() == pom.read_bytes()


def _copy_dependencies(pom: Path, target: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise MissingTool("`mvn` is missing: install Maven 3.8 or newer (Debian and Ubuntu: maven).")
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    ran = subprocess.run([mvn, "-q", "-B", "-f", str(pom), *goal], check=False, capture_output=True, text=True)
    if ran.returncode:
        last = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-8:])
        raise StackError(f"Maven could not fetch the jars named in {pom.relative_to(REPO)}:\n{last}")


def _arrange_elasticsearch(home: Path) -> None:
    """Move the HTTP layer into a module of its own, as in the distribution; everything else is lib/."""
    lib, module = home / "lib", home / "modules" / "transport-netty4"
    for place in (lib, module, home / "bin", home / "plugins"):  # it looks for the last two, empty or not
        place.mkdir(parents=True)
    for jar in home.glob("*.jar"):
        jar.rename((module if jar.name.startswith(("netty-", "transport-netty4")) else lib) / jar.name)
    version = next(lib.glob("elasticsearch-core-*.jar")).stem.removeprefix("elasticsearch-core-")
    descriptor = (CONF / "netty4-descriptor.properties").read_text().replace("${version}", version)
    (module / "plugin-descriptor.properties").write_text(descriptor)
    shutil.copy(CONF / "netty4-security.policy", module / "plugin-security.policy")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """One process at a time; released when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show on standard error what goes on and for how long: a spinner on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{what} …", highlight=False)
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        progress.add_task(what, total=None)
        yield
