"""The command line: `usher --help`."""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import print as show
from rich.progress import track

from usher.bench.cli import app as bench
from usher.rules.cli import app as rules
from usher.settings import ROOT, SettingsError, load
from usher.stack import Stack, StackError
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Real-time personalization of user onboarding.")
app.add_typer(bench, name="bench", help="Speed, as ratios within one run.")
app.add_typer(rules, name="rules", help="Check, show and explain the decision matrix.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(as_json: Json = False) -> None:
    """Start the embedded Kafka and Elasticsearch, with topics and indices."""
    stack = Stack().up()
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    addresses = {"kafka": stack.kafka, "elasticsearch": stack.elasticsearch}
    _say(addresses, f"Kafka {stack.kafka}, Elasticsearch {stack.elasticsearch}", as_json)


@app.command()
def down(wipe: Annotated[bool, typer.Option(help="Delete the data, too.")] = False) -> None:
    """Stop the embedded servers."""
    Stack().down(wipe=wipe)


@app.command()
def status(as_json: Json = False) -> None:
    """What runs, where, and what the job counted."""
    servers = Stack().status()
    if as_json:
        print(json.dumps(servers))
        return
    for name, facts in servers.items():
        show(f"{name}: {facts}")


@app.command()
def run(job: str, bounded: bool = False, as_json: Json = False) -> None:
    """Run a job (personalize) on the in-process minicluster."""
    from usher.run import counts, personalize

    if job != "personalize":
        raise typer.BadParameter(f"{job} is not a job; there is: personalize.")
    settings = _settings()
    personalize(settings, bounded)
    found = counts(settings)
    _say(found, "  ".join(f"{name} {n:,}" for name, n in found.items()), as_json)


@app.command()
def simulate(
    users: int = 100,
    seed: int = 1,
    days: float = 3.0,
    to: Annotated[Path | None, typer.Option(help="An NDJSON file.")] = None,
) -> None:
    """Realistic newcomers, to Kafka or to a file."""
    from usher.simulator import simulate as newcomers
    from usher.simulator import write_ndjson

    span = timedelta(days=days)
    messages = newcomers(users, seed, datetime.now(UTC) - span, span)
    if to is not None:
        show(f"{write_ndjson(track(messages, 'simulating'), to):,} messages in {to}")
        return
    from usher.replay import replay as send

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "simulated.ndjson"
        write_ndjson(track(messages, "simulating"), file)
        show(f"{send(file, _settings()['kafka']):,} messages sent")


@app.command()
def replay(file: Path, live: Annotated[bool, typer.Option(help="Record time is now.")] = False) -> None:
    """Segment-spec NDJSON to Kafka, every line as it is, bad ones too."""
    from usher.replay import replay as send

    show(f"{send(file, _settings()['kafka'], live):,} records sent")


@app.command()
def movielens(to: Path = Path("build/movielens.ndjson")) -> None:
    """MovieLens-100k, fetched on demand, as Segment messages for `usher replay`."""
    from usher.movielens import messages
    from usher.simulator import write_ndjson

    show(f"{write_ndjson(messages(ROOT / 'build' / 'recbole'), to):,} messages in {to}")


@app.command()
def train(users: int = 3000, seed: int = 1, out: Path = ROOT / "build" / "model") -> None:
    """Train the default model on simulated history."""
    from usher.model import train as fit
    from usher.simulator import simulate_history

    manifest = fit(simulate_history(users, seed), out, seed)
    show(manifest["metrics"])


@app.command()
def profile(user_id: str, as_json: Json = False) -> None:
    """What is known of a user, and why they see what they see."""
    from usher.profile import explained, read

    document = read(_settings()["elasticsearch"], user_id)
    if document is None:
        _fail(f"There is no profile of {user_id}: none of their events was accepted yet.")
    _say(document, explained(document), as_json)


@app.command()
def demo(users: int = 150, seconds: int = 40, seed: int = 7) -> None:
    """Everything, end to end: servers, job, newcomers, profiles."""
    from usher.demo import demo as play

    play(users, seconds, seed)


def _settings() -> dict[str, Any]:
    """The settings; the embedded stack's addresses where it runs and none were given."""
    settings = load()
    found = Stack().status()
    for name in ("kafka", "elasticsearch"):
        if f"USHER_{name.upper()}" not in os.environ and found.get(name, {}).get("running"):
            settings[name] = found[name]["address"]
    return settings


def _say(facts: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
    else:
        show(text)


def _fail(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Errors that have a remedy end in one sentence, not in a stack trace."""
    from usher.model import ModelError
    from usher.replay import ReplayError
    from usher.rules import RulesError

    try:
        app()
    except (StackError, SettingsError, ModelError, ReplayError, RulesError) as error:
        _fail(str(error))


if __name__ == "__main__":
    main()
