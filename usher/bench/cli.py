"""`usher bench --help`."""

import json
from typing import Annotated, Any

import typer
from rich import print as show

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def throughput(events: int = 1_000_000, users: int = 20_000, per_second: int = 5000, as_json: Json = False) -> None:
    """Events/s of the full path over events/s of a bare json scan into blackhole."""
    from usher.bench.throughput import throughput as measure

    _show(measure(events, users, per_second), as_json)


@app.command()
def freshness(per_second: int = 2000, seconds: int = 60, lone: int = 10, as_json: Json = False) -> None:
    """From Kafka's append to the profile readable by id; at a steady rate, and for a lone user."""
    from usher.bench.freshness import freshness as measure

    _show(measure(per_second, seconds, lone), as_json)


def _show(result: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(result)) if as_json else show(result)
