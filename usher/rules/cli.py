"""`usher rules check | matrix | import | explain | backtest | lift | publish | rollback | log`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from kafka.errors import KafkaError
from rich.progress import track

from usher.rules.bundle import Bundle
from usher.rules.problems import PublishError, RulesError
from usher.rules.topic import Login, Publication
from usher.settings import ROOT

app = typer.Typer(no_args_is_help=True, help="Check, show, explain, compare and publish the rules.")
CONF = ROOT / "conf"
Directory = Annotated[Path, typer.Option("--dir", help="The directory that holds rules/ and content/.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Seconds = Annotated[float, typer.Option(help="The time that all proofs together may take.")]
Note = Annotated[str, typer.Option(help="Why, for the audit trail.")]
Who = Annotated[str, typer.Option(help="Who, for the audit trail; by default user@host.")]


class Format(StrEnum):
    """How a decision matrix is written."""

    markdown = "markdown"
    html = "html"
    csv = "csv"


@app.command()
def check(
    directory: Directory = CONF,
    as_json: AsJson = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code review tools.")] = False,
    seconds: Seconds = 60.0,
) -> None:
    """Load the rules, run their examples and prove them free of conflicts; exit code 1 on any error."""
    from usher.rules.prove import prove
    from usher.rules.sarif import sarif

    try:
        bundle = Bundle.load(directory)
    except RulesError as error:
        if as_sarif:
            typer.echo(json.dumps(sarif(error.problems, [], directory)))
            raise typer.Exit(1) from None
        _refuse(error, as_json)
    findings = prove(bundle, total_s=seconds)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_sarif:
        typer.echo(json.dumps(sarif([], findings, directory)))
    elif as_json:
        found = [asdict(finding) for finding in findings]
        summary = {"ok": errors == 0, "version": bundle.version, "rules": len(bundle.rules), "findings": found}
        typer.echo(json.dumps(summary))
    else:
        for finding in findings:
            typer.echo(str(finding))
        warnings = len(findings) - errors
        typer.echo(f"{len(bundle.rules)} rules, version {bundle.version}: {errors} errors, {warnings} warnings.")
    raise typer.Exit(1 if errors else 0)


@app.command()
def matrix(directory: Directory = CONF, form: Annotated[Format, typer.Option("--format")] = Format.markdown) -> None:
    """Print the decision matrix: Markdown, a page of HTML, or CSV for a spreadsheet."""
    from usher.rules import matrix as render
    from usher.rules.spreadsheet import left_out, to_csv

    bundle = _load(directory)
    if form is Format.csv and (note := left_out(bundle)):
        typer.echo(note, err=True)
    write = {Format.markdown: render.markdown, Format.html: render.html, Format.csv: to_csv}[form]
    typer.echo(write(bundle), nl=False)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A decision matrix as CSV, as `matrix --format csv` writes it.")],
    to: Annotated[Path | None, typer.Option(help="The YAML file to write; by default it is printed.")] = None,
    directory: Directory = CONF,
) -> None:
    """Turn a decision matrix from a spreadsheet into YAML; its contents must be declared under --dir."""
    from usher.rules.spreadsheet import from_csv

    try:
        text = from_csv(file, directory)
    except RulesError as error:
        _refuse(error, False)
    if to is None:
        typer.echo(text, nl=False)
    else:
        to.write_text(text, "utf-8")
        typer.echo(f"{to} is written: see `usher rules check`.")


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help='The user as JSON: {"continent": "EU", "device_type": "mobile"}.')] = "",
    user_id: Annotated[str, typer.Option(help="Instead: their stored profile, by the published rules.")] = "",
    slot: Annotated[str, typer.Option(help="Only this slot.")] = "",
    at: Annotated[str, typer.Option(help="At that time, e.g. 2026-12-01; by default now.")] = "",
    directory: Directory = CONF,
    as_json: AsJson = False,
) -> None:
    """Say for each rule why it does or does not decide for a user."""
    from usher.rules.why import unread

    if bool(user) == bool(user_id):
        _wrong('Say who it is. Remedy: write either \'{"continent": "EU"}\' or --user-id ID.')
    known = _profile(user_id) if user_id else _user(user)
    bundle = _in_force(directory, as_json) if user_id and directory == CONF else _load(directory, as_json)
    for sentence in [] if user_id else unread(known):
        typer.echo(f"Warning: {sentence}", err=True)
    if slot and slot not in bundle.slots:
        _wrong(f"There is no slot '{slot}'. Remedy: use one of {', '.join(bundle.slots)}.")
    moment = _millis(at) if at else None
    verdicts = {name: bundle.explain(known, name, moment) for name in ([slot] if slot else bundle.slots)}
    if as_json:
        typer.echo(json.dumps({name: [asdict(verdict) for verdict in found] for name, found in verdicts.items()}))
        return
    for name, found in verdicts.items():
        typer.echo("\n".join([name, *(line for verdict in found for line in verdict.lines())]))


@app.command()
def backtest(
    new: Annotated[Path, typer.Argument(help="The directory of the new rules: it holds rules/ and content/.")],
    against: Annotated[str, typer.Option(help="`history` (the topic `decisions`), or a file.")] = "history",
    as_of: Annotated[str, typer.Option(help="Each user as they were at that time, e.g. 2026-12-01.")] = "",
    by: Annotated[str, typer.Option(help="The field whose values are the segments.")] = "continent",
    as_json: AsJson = False,
) -> None:
    """Whose content would change, from what to what: the new rules on the log of decisions."""
    from usher.rules.backtest import SEGMENTS, read_file, read_topic, text
    from usher.rules.backtest import backtest as run

    bundle = _load(new, as_json)
    if by not in SEGMENTS:
        _wrong(f"'{by}' is not a field to group by. Remedy: use one of {', '.join(SEGMENTS)}.")
    moment = datetime.fromtimestamp(_millis(as_of) / 1000, UTC) if as_of else None
    login = _login() if against == "history" else {}
    rows = read_topic(login) if login else read_file(Path(against))
    try:
        found = run(bundle, track(rows, "reading decisions", transient=True), by, moment).summary()
    except ValueError as error:
        _wrong(str(error))
    except KafkaError as error:
        where = ", ".join(login["bootstrap_servers"])
        _wrong(f"Kafka at {where} does not answer ({error}). Remedy: start it, set USHER_KAFKA, or give a file.")
    except OSError as error:
        _wrong(f"{against} cannot be read ({error.strerror}). Remedy: give a file of decisions, or `history`.")
    typer.echo(json.dumps(found) if as_json else text(found), nl=as_json)


@app.command()
def lift(directory: Directory = CONF, as_json: AsJson = False) -> None:
    """Whether the published rules (or those of --dir) help: those who get them beside those held out by chance."""
    from usher.service.elastic import ElasticError
    from usher.service.lift import read, text

    try:
        found = read(_elasticsearch(), _in_force(CONF, as_json) if directory == CONF else _load(directory, as_json))
    except ElasticError as error:
        _wrong(f"The profiles were not reached ({error}) Remedy: see that Elasticsearch is up, and ask again.")
    typer.echo(json.dumps(found) if as_json else text(found))


@app.command()
def publish(
    directory: Directory = CONF, note: Note = "", who: Who = "", as_json: AsJson = False, seconds: Seconds = 60.0
) -> None:
    """Prove the rules and put them in force in the running job and service; refused on any error."""
    from usher.rules.publish import publish as put

    try:
        _published(put(_login(), directory, note, who, seconds), as_json)
    except (RulesError, PublishError) as error:
        _refuse(error, as_json)


@app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="A version that `usher rules log` shows.")],
    note: Note = "",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Put an earlier version in force again."""
    from usher.rules.publish import rollback as put_back

    try:
        _published(put_back(_login(), version, note, who), as_json)
    except (RulesError, PublishError) as error:
        _refuse(error, as_json)


@app.command()
def log(as_json: AsJson = False) -> None:
    """Who put which version in force, when and why; the last line is in force."""
    from usher.rules.publish import history

    try:
        found = history(_login())
    except PublishError as error:
        _refuse(error, as_json)
    if as_json:
        typer.echo(json.dumps({"published": [one.summary() for one in found]}))
        return
    for one in found:
        before = one.replaces or "nothing"
        typer.echo(f"{one.at}  {one.action:8}  {one.version}  replaces {before:12}  {one.who}  {one.note}".rstrip())
    if not found:
        typer.echo("Nothing was published yet: the rules of `rules_dir` are in force.")


def _published(one: Publication, as_json: bool) -> None:
    sentence = f"Version {one.version} is in force; before it was {one.replaces or 'the one of rules_dir'}."
    typer.echo(json.dumps({"ok": True, **one.summary()}) if as_json else sentence)


def _login() -> Login:
    from usher.access import kafka_login
    from usher.here import settings_here

    return kafka_login(settings_here())


def _load(directory: Path, as_json: bool = False) -> Bundle:
    try:
        return Bundle.load(directory)
    except RulesError as error:
        _refuse(error, as_json)


def _in_force(directory: Path, as_json: bool) -> Bundle:
    """The newest published rules; those of the directory where none are, or Kafka is not there to ask."""
    from usher.rules.publish import in_force

    try:
        published = in_force(_login())
    except PublishError as error:
        typer.echo(f"Warning: {error} The rules of {directory} are asked instead.", err=True)
        published = None
    return published or _load(directory, as_json)


def _elasticsearch() -> dict[str, Any]:
    """What a client needs, once it was seen that Elasticsearch answers."""
    from usher.access import AccessError, check_elasticsearch, elasticsearch_login
    from usher.here import settings_here

    settings = settings_here()
    try:
        check_elasticsearch(settings)
    except AccessError as error:
        _wrong(str(error))
    return elasticsearch_login(settings)


def _profile(user_id: str) -> dict[str, Any]:
    from usher.profile import read

    login = _elasticsearch()
    profile = read(login.pop("hosts"), user_id, **login)
    if profile is None:
        _wrong(f"There is no profile of {user_id}: none of their events was accepted yet. Remedy: give them as JSON.")
    return profile


def _user(text: str) -> dict[str, Any]:
    try:
        known = json.loads(text)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        _wrong('The user is not a JSON object. Remedy: write e.g. \'{"continent": "EU"}\'.')
    return known


def _millis(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _wrong(f"{text!r} is not a time. Remedy: write 2026-12-24 or 2026-12-24T18:00:00Z.")
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _wrong(sentence: str) -> NoReturn:
    """The command cannot be carried out as it was given: exit code 2."""
    typer.echo(sentence, err=True)
    raise typer.Exit(2) from None


def _refuse(error: RulesError | PublishError, as_json: bool) -> NoReturn:
    if as_json:
        problems = [asdict(problem) for problem in error.problems] if isinstance(error, RulesError) else [str(error)]
        typer.echo(json.dumps({"ok": False, "problems": problems}))
    else:
        typer.echo(str(error), err=True)
    raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
