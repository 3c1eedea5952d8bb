"""`usher rules check | matrix | explain`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from usher.rules.bundle import Bundle
from usher.rules.matrix import matrix as render
from usher.rules.problems import RulesError
from usher.rules.prove import Finding, prove
from usher.settings import ROOT

app = typer.Typer(no_args_is_help=True, help="Check, show and explain the rules.")
CONF = ROOT / "conf"
Directory = Annotated[Path, typer.Option("--dir", help="The directory that holds rules/ and content/.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _load(directory: Path, as_json: bool = False) -> Bundle:
    try:
        return Bundle.load(directory)
    except RulesError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": [asdict(problem) for problem in error.problems]}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
def check(
    directory: Directory = CONF,
    as_json: AsJson = False,
    seconds: Annotated[float, typer.Option(help="The time that all proofs together may take.")] = 60.0,
) -> None:
    """Load the rules, run their examples and prove them free of conflicts; exit code 1 on any error."""
    bundle = _load(directory, as_json)
    findings = prove(bundle, total_s=seconds)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        found = [asdict(finding) for finding in findings]
        summary = {"ok": errors == 0, "version": bundle.version, "rules": len(bundle.rules), "findings": found}
        typer.echo(json.dumps(summary))
    else:
        for finding in findings:
            typer.echo(_line(finding))
        warnings = len(findings) - errors
        typer.echo(f"{len(bundle.rules)} rules, version {bundle.version}: {errors} errors, {warnings} warnings.")
    raise typer.Exit(1 if errors else 0)


@app.command()
def matrix(directory: Directory = CONF) -> None:
    """Print the decision matrix as Markdown."""
    typer.echo(render(_load(directory)), nl=False)


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help='The user as JSON: {"continent": "EU", "device_type": "mobile"}.')],
    slot: Annotated[str, typer.Option(help="Only this slot.")] = "",
    directory: Directory = CONF,
    as_json: AsJson = False,
) -> None:
    """Say for each rule why it does or does not decide for a user."""
    bundle = _load(directory, as_json)
    try:
        known = json.loads(user)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        typer.echo('The user is not a JSON object. Remedy: write e.g. \'{"continent": "EU"}\'.', err=True)
        raise typer.Exit(2)
    if slot and slot not in bundle.slots:
        typer.echo(f"There is no slot '{slot}'. Remedy: use one of {', '.join(bundle.slots)}.", err=True)
        raise typer.Exit(2)
    verdicts = {name: bundle.explain(known, name) for name in ([slot] if slot else bundle.slots)}
    if as_json:
        typer.echo(json.dumps({name: [asdict(verdict) for verdict in found] for name, found in verdicts.items()}))
        return
    for name, found in verdicts.items():
        typer.echo(name)
        for verdict in found:
            typer.echo(f"  {verdict.outcome:14} {verdict.rule_id} -> {verdict.content_id}: {verdict.detail}")


def _line(finding: Finding) -> str:
    where = f"{finding.file}:{finding.line}: " if finding.file else ""
    witness = "" if finding.witness is None else f" Witness: {json.dumps(finding.witness)}"
    return f"{where}{finding.severity} {finding.kind}: {finding.sentence}{witness}"


if __name__ == "__main__":
    app()
