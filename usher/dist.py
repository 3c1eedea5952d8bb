"""`make dist`: the three things that are shipped with `flink run`, and nothing else is needed on a worker.

usher/                 jobs, SQL, rules, model, table of countries and the Python code   -pyfs, -py
python.zip             an interpreter with the packages that the job imports             -pyarch, -pyexec
usher-connectors.jar   connectors and functions for the JVM                              -j
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from rich.progress import track

from usher.settings import ROOT

CODE = ("conf", "jobs", "sql", "udfs", "usher", "build/geo", "build/model")
IN_FLINK = {"apache-flink-libraries"}
"""Packages of which every Flink installation has what is in them (its jars)."""
NOT_IN_STDLIB = {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip", "turtledemo", "lib2to3"}
SYSTEM_LIBRARIES = re.compile(r"(ld-linux|linux-vdso|lib(c|m|dl|rt|util|pthread|resolv))[-.]")
"""glibc: of the worker, and not older than the one here."""
LAUNCHER = """#!/bin/sh
# Python with its own libraries, wherever this was unpacked.
home=$(dirname "$(dirname "$(readlink -f "$0")")")
export PYTHONHOME="$home" LD_LIBRARY_PATH="$home/lib/native${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$home/bin/python3" "$@"
"""
SITE = "import site\nimport sys\n\nsite.addsitedir(f'{sys.prefix}/%s/site-packages')\n"


class DistError(RuntimeError):
    """Something to ship is missing; the text says what makes it."""


def dist(out: Path) -> tuple[Path, ...]:
    """Write what is to be shipped into `out`; returns the three paths."""
    out.mkdir(parents=True, exist_ok=True)
    app, jar = out / "usher", out / "usher-connectors.jar"
    _copy_code(app)
    shutil.copy(_there(ROOT / "connectors/target/usher-connectors.jar", "make connectors"), jar)
    return app, _python(out / "python.zip"), jar


def _there(path: Path, made_by: str) -> Path:
    if not path.exists():
        raise DistError(f"{path.relative_to(ROOT)} is missing: `{made_by}` makes it.")
    return path


def _copy_code(app: Path) -> None:
    shutil.rmtree(app, ignore_errors=True)
    for name in CODE:
        source = _there(ROOT / name, f"make {name.removeprefix('build/')}")
        shutil.copytree(source, app / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".made"))


def _python(archive: Path) -> Path:
    """The archive of interpreter and packages; kept as it is while neither changed."""
    files = dict(_interpreter()) | dict(_packages())
    texts = {"bin/python": LAUNCHER, f"{_lib()}/sitecustomize.py": SITE % _lib()}
    stamp = archive.with_suffix(".list")
    content = LAUNCHER + "".join(_line(name, path) for name, path in sorted(files.items()))
    if archive.exists() and stamp.exists() and stamp.read_text() == content:
        return archive
    part = archive.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for name, path in track(sorted(files.items()), "packing Python", transient=True):
            out.write(path, name)
        for name, text in texts.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            out.writestr(info, text)
    part.replace(archive)
    stamp.write_text(content)
    return archive


def _line(name: str, path: Path) -> str:
    found = path.stat()
    return f"{name} {found.st_size} {found.st_mtime_ns}\n"


def _lib() -> str:
    return f"lib/python{sys.version_info.major}.{sys.version_info.minor}"


def _interpreter() -> Iterator[tuple[str, Path]]:
    """Name in the archive and path here: executable, standard library, and the shared libraries of both."""
    executable = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    yield "bin/python3", executable
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    binaries = [executable]
    for path in stdlib.rglob("*"):
        parts = path.relative_to(stdlib).parts
        if path.is_dir() or NOT_IN_STDLIB & set(parts) or "__pycache__" in parts or parts[0].startswith("config-"):
            continue
        if parts != ("sitecustomize.py",):
            yield f"{_lib()}/{'/'.join(parts)}", path.resolve()
        if path.suffix == ".so":
            binaries.append(path)
    yield from ((f"lib/native/{name}", path) for name, path in _libraries(binaries).items())


def _libraries(binaries: list[Path]) -> dict[str, Path]:
    """The shared libraries that the binaries load, but for the C library's own."""
    told = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True).stdout
    found = re.findall(r"^\s+(\S+) => (/\S+)", told, re.MULTILINE)
    return {name: Path(path).resolve() for name, path in found if not SYSTEM_LIBRARIES.match(name)}


def _packages() -> Iterator[tuple[str, Path]]:
    """The files of the packages in the dependency group `job` and of all that they need."""
    for name in sorted(_closure(_group("job")) - IN_FLINK):
        for file in metadata.distribution(name).files or ():
            path = Path(str(file.locate()))
            if ".." in file.parts or {"tests", "__pycache__"} & set(file.parts) or not path.is_file():
                continue
            yield f"{_lib()}/site-packages/{PurePath(file)}", path


def _group(name: str) -> list[str]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][name])


def _closure(requirements: list[str]) -> set[str]:
    """Names of the installed distributions that the requirements need, extras and markers heeded."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in found:
                found.add((name, wanted))
                needs = metadata.distribution(name).requires or ()
                waiting += [(Requirement(text), wanted) for text in needs]
    return {name for name, _ in found}


if __name__ == "__main__":
    try:
        for made in dist(Path(sys.argv[1])):
            print(made)
    except DistError as error:
        raise SystemExit(str(error)) from None
