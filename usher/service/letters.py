"""Dead letters: documents that Elasticsearch refused, which the job appends to files in a folder, one a line
(connectors/…/DeadLetters.java). Each holds a whole profile, and so a person."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usher.service.whose import Names, is_about, readable

SETTLE_S = 0.5
"""In which whoever has a file open under its old name has written to it."""
_LIVE = re.compile(r".*-\d+\.ndjson")
"""What the job appends to; the others were put aside here."""


class Letters:
    """`Letters(Path(settings["dead_letters"])).drop(lambda line: b"ada" in line)`: how many lines went."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, names: Names) -> list[Any]:
        """The letters about a person."""
        if not self._folder.is_dir():
            return []
        with self._alone():
            return [readable(line) for file in self._files() for line in _lines(file) if is_about(line, names)]

    def drop(self, unwanted: Callable[[bytes], bool]) -> int:
        """Write each file anew without the unwanted lines.

        A file that the job may append to is put aside first: the job then begins another, so that no line is lost.
        """
        if not self._folder.is_dir():
            return 0
        with self._alone():
            found = [file for file in self._files() if any(unwanted(line) for line in _lines(file))]
            moved = [_put_aside(file) if _LIVE.fullmatch(file.name) else file for file in found]
            if moved != found:
                time.sleep(SETTLE_S)
            return sum(_filter(file, unwanted) for file in moved)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.ndjson"))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time: of two, the later would bring back what the earlier dropped."""
        held = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)


def _lines(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().split(b"\n") if line]


def _put_aside(file: Path) -> Path:
    return file.rename(file.with_name(f"{file.stem}.{time.time_ns()}.ndjson"))


def _filter(file: Path, unwanted: Callable[[bytes], bool]) -> int:
    lines = _lines(file)
    kept = [line for line in lines if not unwanted(line)]
    part = file.with_suffix(".part")
    part.write_bytes(b"".join(line + b"\n" for line in kept))
    if kept:
        part.replace(file)
    else:
        file.unlink()
        part.unlink()
    return len(lines) - len(kept)
