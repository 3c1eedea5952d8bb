"""The command line: `usher --help`."""

import json
import signal
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import print as show
from rich.progress import track

from usher.bench.cli import app as bench
from usher.here import settings_here as _settings
from usher.model.cli import app as model
from usher.rules.cli import app as rules
from usher.settings import ROOT, SettingsError, described
from usher.stack import Stack, StackError
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Real-time personalization of user onboarding.")
app.add_typer(bench, name="bench", help="Speed, as ratios within one run.")
app.add_typer(model)  # train, evaluate, models, promote, rollback, shadow, drift, retrain
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
    for name in stack.fleeting:
        where = f"{stack.home} is closed to the user `nobody`, as whom root runs it"
        print(
            f"The data of {name} end with it: {where}. Set USHER_HOME to a folder open to all to keep them.",
            file=sys.stderr,
        )


@app.command()
def setup() -> None:
    """Create the topics and indices that are missing, at the addresses of the settings."""
    from usher.access import check_servers, elasticsearch_login, kafka_login

    settings = _settings()
    check_servers(settings)
    topics = create_topics(settings["kafka"], **kafka_login(settings))
    indices = create_indices(settings["elasticsearch"], **elasticsearch_login(settings))
    show(f"created: {', '.join((*topics, *indices)) or 'nothing, all was there'}")


@app.command()
def index(action: str, name: str) -> None:
    """`usher index create profiles-v2`, fill it, then `usher index switch profiles-v2`: readers see it at once."""
    from usher.access import check_elasticsearch, elasticsearch_login
    from usher.stack.indices import create_index, switch_alias

    settings = _settings()
    check_elasticsearch(settings)
    login = elasticsearch_login(settings)
    if action == "create":
        create_index("profiles", name, **login)
        show(f"{name} is there; nothing points to it yet.")
    elif action == "switch":
        before = switch_alias("profiles", name, **login)
        show(f"The alias profiles points to {name}, no longer to {', '.join(before)}.")
    else:
        raise typer.BadParameter("say `usher index create NAME` or `usher index switch NAME`.")


@app.command()
def requeue(code: Annotated[str | None, typer.Option(help="Only what was refused with this code.")] = None) -> None:
    """Send what is in quarantine to `events` again, after the parser or the data was mended."""
    from usher.requeue import requeue as send

    show(f"{send(_settings(), code):,} records sent again")


@app.command()
def check() -> None:
    """Whether all is there that the job needs: broker, Elasticsearch, logins, topics, indices, the right to write."""
    from usher.access import check_access

    check_access(_settings())
    show("All is there that the job needs.")


@app.command()
def settings() -> None:
    """Every setting: its variable, what holds now, its default, what it is. Secrets are not shown."""
    for one in described():
        changed = "" if one.value == one.default else f" (default: {one.default!r})"
        print(f"{one.variable}={one.value}  # {one.help}{changed}")


@app.command()
def down(wipe: Annotated[bool, typer.Option(help="Delete the data, too.")] = False) -> None:
    """Stop the embedded servers."""
    Stack().down(wipe=wipe)


@app.command()
def status(as_json: Json = False) -> None:
    """What runs, where, and what the job tells of itself."""
    from usher.cluster import RestError, job_status

    facts: dict[str, Any] = Stack().status()
    try:
        facts["job"] = job_status(_settings()["flink"]) or "Flink runs no job of the name personalize."
    except RestError as error:
        facts["job"] = str(error)
    if as_json:
        print(json.dumps(facts))
        return
    for name, fact in facts.items():
        show(f"{name}: {fact}")


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
    live: Annotated[bool, typer.Option(help="Record time is now, as for a job that runs already.")] = False,
) -> None:
    """Realistic newcomers of the last days, to Kafka or to a file."""
    from usher.simulator import simulate as newcomers
    from usher.simulator import write_ndjson

    span = timedelta(days=days)
    messages = newcomers(users, seed, datetime.now(UTC) - span, span)
    if to is not None:
        show(f"{write_ndjson(track(messages, 'simulating'), to):,} messages in {to}")
        return
    settings = _with_kafka()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "simulated.ndjson"
        write_ndjson(track(messages, "simulating"), file)
        show(f"{_send(settings, file, live):,} messages sent")


@app.command()
def replay(file: Path, live: Annotated[bool, typer.Option(help="Record time is now.")] = False) -> None:
    """Segment-spec NDJSON to Kafka, every line as it is, bad ones too."""
    show(f"{_send(_with_kafka(), file, live):,} records sent")


@app.command()
def movielens(to: Path = Path("build/movielens.ndjson")) -> None:
    """MovieLens-100k, fetched on demand, as Segment messages for `usher replay`."""
    from usher.movielens import messages
    from usher.simulator import write_ndjson

    show(f"{write_ndjson(messages(ROOT / 'build' / 'recbole'), to):,} messages in {to}")


@app.command()
def profile(user_id: str, as_json: Json = False) -> None:
    """What is known of a user, and why they see what they see."""
    from usher.access import check_elasticsearch, elasticsearch_login
    from usher.profile import explained, read

    settings = _settings()
    check_elasticsearch(settings)
    document = read(settings["elasticsearch"], user_id, **elasticsearch_login(settings))
    if document is None:
        _fail(f"There is no profile of {user_id}: none of their events was accepted yet.")
    _say(document, explained(document), as_json)


@app.command()
def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: Annotated[int | None, typer.Option(help="Processes; by default the setting service_workers.")] = None,
) -> None:
    """Collector, decision API and the rights of users, over HTTP."""
    from usher.service.serve import serve as listen

    listen(_settings(), host, port, workers)


@app.command()
def erase(user_id: str, as_json: Json = False) -> None:
    """Erase a person from profiles, stream, decision log, quarantine and late topic, and look that they are gone."""
    from usher.access import check_servers, elasticsearch_login, kafka_login
    from usher.service.people import People, is_erased
    from usher.service.privacy import Pseudonyms

    settings = _settings()
    check_servers(settings)
    left = People(kafka_login(settings), elasticsearch_login(settings), Pseudonyms.load()).erase(user_id)
    told = "  ".join(f"{store} {count}" for store, count in left.items())
    _say({"erased": is_erased(left), "remaining": left}, f"Left: {told}", as_json)
    if not is_erased(left):
        _fail("Not all is erased: a job may be writing still, or is not running. Run the same command again.")


@app.command()
def retain(as_json: Json = False) -> None:
    """Apply the retention settings (retain_*) to each store; run it by a timer, once a day."""
    from usher.access import check_servers
    from usher.service.retention import retain as apply

    settings = _settings()
    check_servers(settings)
    applied = apply(settings)
    _say(applied, "  ".join(f"{store}: {what}" for store, what in applied.items()), as_json)


@app.command()
def keys(action: str, role: str) -> None:
    """Make a key: `usher keys new write|read|admin`. It is shown once; its hash is kept."""
    from usher.service.keys import ROLES, new_key

    known = next((name for name in ROLES if name == role), None)
    if action != "new" or known is None:
        raise typer.BadParameter(f"say `usher keys new` and one of {', '.join(ROLES)}.")
    print(new_key(Path(_settings()["service_keys"]), known))


@app.command()
def demo(users: int = 150, seconds: int = 40, seed: int = 7) -> None:
    """Everything, end to end: servers, job, newcomers, profiles."""
    from usher.demo import demo as play

    play(users, seconds, seed)


def _with_kafka() -> dict[str, Any]:
    """The settings, after a look that Kafka takes events."""
    from usher.access import check_kafka
    from usher.replay import TOPIC

    settings = _settings()
    check_kafka(settings, (TOPIC,))
    return settings


def _send(settings: dict[str, Any], file: Path, live: bool) -> int:
    from usher.access import kafka_login
    from usher.replay import replay as send

    return send(file, settings["kafka"], live, **kafka_login(settings))


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
    from usher.access import SERVER_ERRORS, AccessError, said
    from usher.cluster import ClusterError, RestError
    from usher.model import ModelError
    from usher.replay import ReplayError
    from usher.rules import RulesError
    from usher.run import JobError
    from usher.service.keys import KeysError
    from usher.service.privacy import PrivacyError

    # asked to stop is left as Ctrl-C is: whoever started servers or a job takes them down on the way out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ours = (StackError, SettingsError, AccessError, JobError, ModelError, ReplayError, RulesError, KeysError)
    try:
        app()
    except (*ours, PrivacyError, ClusterError, RestError) as error:
        _fail(str(error))
    except SERVER_ERRORS as error:
        _fail(said(error))


if __name__ == "__main__":
    main()
