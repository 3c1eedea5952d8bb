"""Real people: MovieLens 100k, from the examples in PyPI's recbole, as Segment messages.

`python -m usher.movielens --to build/movielens.ndjson`, then `usher replay build/movielens.ndjson`.
GroupLens permits use for research; the data is fetched, never shipped (F. M. Harper and J. A. Konstan, 2015).
"""

import argparse
import csv
import io
import re
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from usher.model.reference import iso_of

RECBOLE = "1.2.1"
_INSIDE = "recbole/dataset_example/ml-100k/ml-100k."


class MovieLensError(RuntimeError):
    """The data could not be fetched; the message says what to do."""


def messages(directory: str | Path = "build/recbole") -> Iterator[dict[str, Any]]:
    """One `identify` per user just before their first rating, one `Feature Used` per rating, ordered by time."""
    wheel = fetch(Path(directory))
    genres = {row["item_id"]: slug(row["class"].split()) for row in table(wheel, "item")}
    users = {row["user_id"]: row for row in table(wheel, "user")}
    ratings = sorted(table(wheel, "inter"), key=lambda row: (int(row["timestamp"]), int(row["user_id"])))
    for row in ratings:
        user = users.pop(row["user_id"], None)
        if user:
            yield _identify(user, int(row["timestamp"]))
        yield _used(row, genres[row["item_id"]])


def fetch(directory: Path) -> Path:
    """The wheel of recbole in `directory`, downloaded when it is not there yet."""
    wheel = directory / f"recbole-{RECBOLE}-py3-none-any.whl"
    if not wheel.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        command = [*pip_command(), "download", "--quiet", "--no-deps", "--dest", str(directory), f"recbole=={RECBOLE}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not wheel.is_file():
            raise MovieLensError(
                f"recbole {RECBOLE} could not be downloaded into {directory} ({done.stderr.strip()[-300:]}): "
                "check the connection to the package index and try again."
            )
    return wheel


def main(arguments: list[str] | None = None) -> None:
    """Write the messages as NDJSON."""
    from usher.simulator import write_ndjson

    parser = argparse.ArgumentParser(prog="usher.movielens", description=main.__doc__)
    parser.add_argument("--to", required=True, metavar="FILE.ndjson")
    to = parser.parse_args(arguments).to
    print(f"{write_ndjson(messages(), to):,} messages in {to}")


def pip_command() -> list[str]:
    """This Python's pip, or that of the system where the environment has none (as uv makes them)."""
    candidates = [sys.executable, str(Path(sys.base_prefix) / "bin" / "python3"), shutil.which("python3")]
    for python in filter(None, candidates):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return [python, "-m", "pip"]
    raise MovieLensError("No pip was found for this Python or the system's: install one (`python -m ensurepip`).")


def table(wheel: Path, name: str) -> list[dict[str, str]]:
    """A RecBole atomic file: tab-separated, the header says `name:type`."""
    with zipfile.ZipFile(wheel) as archive, archive.open(_INSIDE + name) as raw:
        reader = csv.reader(io.TextIOWrapper(raw, "utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE)
        names = [column.split(":")[0] for column in next(reader)]
        return [dict(zip(names, row, strict=True)) for row in reader]


def _identify(user: dict[str, str], seconds: int) -> dict[str, Any]:
    traits = {"age": int(user["age"]), "occupation": user["occupation"], "gender": user["gender"]}
    return _message(user["user_id"], seconds, "identify", type="identify", traits=traits)


def _used(rating: dict[str, str], genre: str) -> dict[str, Any]:
    item = rating["item_id"]
    properties = {"feature": genre, "item_id": item, "rating": float(rating["rating"])}
    fields = {"type": "track", "event": "Feature Used", "properties": properties}
    return _message(rating["user_id"], int(rating["timestamp"]), item, **fields)


def _message(user: str, seconds: int, what: str, **fields: Any) -> dict[str, Any]:
    time = iso_of(seconds * 1000)
    message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"movielens:{user}:{what}"))
    return {"messageId": message_id, **fields, "userId": f"ml-{user}", "timestamp": time, "receivedAt": time}


def slug(genres: list[str]) -> str:
    """The first genre: `Children's` is `childrens`, `Sci-Fi` is `sci_fi`."""
    return re.sub(r"[^a-z0-9]+", "_", genres[0].lower().replace("'", "")).strip("_") if genres else "unknown"


if __name__ == "__main__":
    main()
