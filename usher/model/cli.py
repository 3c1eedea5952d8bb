"""`usher train | evaluate | models | promote | rollback | shadow | drift | retrain`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import print as show
from rich.console import Console
from rich.table import Table

from usher.here import settings_here
from usher.settings import load

if TYPE_CHECKING:
    import pandas as pd

    from usher.model import Registry

app = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Decisions = Annotated[
    str,
    typer.Option("--from", help="`simulator`, `kafka` (topic decisions), or NDJSON of decisions or of events."),
]
SMALL, ALL = "small", "all"
SHORT = ("roc_auc", "r2", "rows", "promotable")


@app.command()
def train(
    source: Decisions = "simulator",
    users: Annotated[int, typer.Option(help="Simulated newcomers.")] = 1000,
    seed: int = 1,
    candidates: Annotated[str, typer.Option(help="`small`, `all`, or names, separated by commas.")] = SMALL,
    promote: Annotated[
        bool | None,
        typer.Option(help="Let it serve if its gate is open; by default only when no champion serves yet."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, measure and keep a model. It serves at once only if there is no champion, or with --promote."""
    from usher.model import ModelError, config, label
    from usher.model import train as fit

    policy, registry = config.load(), _registry()
    examples = label(_rows(source, users, seed), policy.training.horizon_ms, policy.training.min_uses)
    trained = fit(examples, policy, seed, _named(candidates))
    version = registry.add(trained)
    champion = _serving(registry)
    wanted = champion is None if promote is None else promote
    if wanted and trained.facts["promotable"]:
        registry.promote(version, "trained, and its gate is open")
        champion = version
    _told(trained.facts | {"model_version": version, "champion": champion}, registry, as_json)
    if trained.facts["promotable"] and champion != version and not as_json:
        show(
            f"{champion or 'Nobody'} goes on serving. `usher shadow {version}` scores the new one beside it, "
            f"`usher promote {version}` lets it serve."
        )
    if not trained.facts["promotable"] and promote is not False:
        raise ModelError(f"{version} was kept but not promoted: {' '.join(trained.facts['not_promotable_because'])}")


@app.command()
def models(as_json: Json = False) -> None:
    """All versions, who serves, and every change."""
    registry = _registry()
    facts: dict[str, Any] = {
        "champion": registry.alias("champion"),
        "challenger": registry.alias("challenger"),
        "versions": {version: _short(registry, version) for version in registry.versions()},
        "history": registry.history(),
    }
    if as_json:
        print(json.dumps(facts))
        return
    table = Table("version", "serves as", "ROC-AUC", "R²", "trained on", "promotable")
    for version, short in facts["versions"].items():
        serves = [name for name in ("champion", "challenger") if facts[name] == version]
        table.add_row(version, ", ".join(serves), *(str(short[name]) for name in SHORT))
    Console().print(table)
    for version, short in facts["versions"].items():
        if "broken" in short:
            show(f"{version} is broken: {short['broken']}")
    for change in facts["history"][-10:]:
        show(f"{change['at']}  {change['alias']}: {change['from']} → {change['to']} ({change['why']})")


@app.command()
def promote(version: str, why: str = "promoted by hand") -> None:
    """Let a version serve; refused when its gate is closed or it cannot be loaded."""
    _registry().promote(version, why)
    show(f"{version} is the champion; jobs and services take it up within seconds.")


@app.command()
def rollback(why: str = "rolled back by hand") -> None:
    """Back to the champion before this one."""
    show(f"{_registry().rollback(why)} is the champion again.")


@app.command()
def shadow(version: str, why: str = "shadowed by hand") -> None:
    """Score a version beside the champion, logged but not served; `none` ends that."""
    _registry().shadow(None if version == "none" else version, why)
    show("Nothing is in the shadow." if version == "none" else f"{version} is scored in the champion's shadow.")


@app.command()
def evaluate(
    version: Annotated[str, typer.Argument(help="A version; the champion by default.")] = "champion",
    source: Decisions = "simulator",
    users: int = 500,
    seed: int = 2,
    as_json: Json = False,
) -> None:
    """How good a model is on other data than it was trained on, with intervals."""
    from usher.model import ModelError, Predictor, config, label
    from usher.model import metrics as measure

    policy, registry = config.load().training, _registry()
    examples = label(_rows(source, users, seed), policy.horizon_ms, policy.min_uses)
    named = registry.alias(version) if version == "champion" else version
    if named is None:
        raise ModelError(f"{registry.directory} has no champion: run `usher train` to make one.")
    registry.manifest(named)
    said = Predictor(registry.path(named)).predict(examples.inputs)
    weights = measure.resamples(examples.users, policy.interval_resamples, seed)
    figures, _ = measure.classification(examples.preferences, said.preferences, examples.labels, weights)
    engaged, _ = measure.regression(examples.engagement, said.engagement, weights)
    if as_json:
        print(json.dumps({"version": named, "n": len(examples), "preferences": figures, "engagement": engaged}))
        return
    table = Table(f"{named} on {len(examples):,} decisions", "[95 % interval]")
    for name, figure in figures.items():
        table.add_row(name.replace("_", " "), _span(figure.get("mean", figure)))
    for name, figure in engaged.items():
        table.add_row(f"engagement {name}", _span(figure))
    Console().print(table)


@app.command()
def drift(
    source: Decisions = "kafka",
    plot: Annotated[Path | None, typer.Option(help="Draw it: a file that ends in .svg or .png.")] = None,
    metrics: Annotated[Path | None, typer.Option(help="For Prometheus: a file of the textfile collector.")] = None,
    keep: Annotated[bool, typer.Option("--store/--no-store", help="Write documents to Elasticsearch.")] = True,
    as_json: Json = False,
) -> None:
    """Has the world moved on since the champion was trained? Ends with 1 if it has."""
    import time

    from usher import drift as watching
    from usher.model import config
    from usher.retrain import drift_of

    now = int(time.time() * 1000) if source == "kafka" else None
    report = drift_of(_rows(source), _registry(), config.load(), now)
    if plot is not None:
        watching.plot(report, plot)
    if metrics is not None:
        watching.write_metrics(report, metrics)
    if as_json:
        print(json.dumps({"reasons": report.reasons, "findings": [*watching.documents(report)]}))
    else:
        Console().print(watching.table(report))
        for reason in report.reasons or ["Nothing has drifted."]:
            show(reason)
    if keep:  # last, so that all has been said if Elasticsearch is down
        from usher.access import elasticsearch_login

        settings = settings_here()
        watching.store(report, settings["elasticsearch"], **elasticsearch_login(settings))
    raise typer.Exit(bool(report.reasons))


@app.command()
def retrain(source: Decisions = "kafka", candidates: str = SMALL, seed: int = 1, as_json: Json = False) -> None:
    """Detect, train on fresh data, gate, shadow, promote: the next of these steps, or why not. For a schedule."""
    import time

    from usher.model import config
    from usher.retrain import retrain as step

    now = int(time.time() * 1000) if source == "kafka" else None
    outcome = step(_rows(source), _registry(), config.load(), seed, _named(candidates), now)
    if as_json:
        print(json.dumps({"did": outcome.did, "version": outcome.version, "why": outcome.why}))
        return
    show(f"{outcome.did}{f' {outcome.version}' if outcome.version else ''}")
    for reason in outcome.why:
        show(f"  {reason}")


def _registry() -> "Registry":
    """The registry of the settings, behind the gate of conf/model.yaml."""
    from usher.model import Registry, config

    return Registry(load()["model_dir"], config.load().gate)


def _serving(registry: "Registry") -> str | None:
    """The champion, unless it cannot serve: broken, or of another feature contract than today's code."""
    from usher.model import ModelError

    try:
        champion = registry.alias("champion")
        return None if champion is None else registry.checked(champion).version
    except ModelError as error:
        typer.echo(f"The champion cannot serve, so it counts as none: {error}", err=True)
        return None


def _named(candidates: str) -> tuple[str, ...]:
    from usher.model._candidates import CANDIDATES
    from usher.model._training import DEFAULT

    named = {SMALL: DEFAULT, ALL: tuple(candidate.name for candidate in CANDIDATES)}
    return named.get(candidates) or tuple(candidates.split(","))


def _rows(source: str, users: int = 0, seed: int = 0) -> "pd.DataFrame":
    """Rows of the log from where the user says."""
    from usher.model import history, log

    if source == "simulator":
        from usher.simulator import simulate_log

        return simulate_log(users, seed)
    if source == "kafka":
        from usher.access import kafka_login

        settings = settings_here()
        return log.read_kafka(settings["kafka"], **kafka_login(settings))
    file = Path(source)
    return log.rows_of(history.replayed(file)) if history.is_events(file) else log.read_ndjson(file)


def _short(registry: "Registry", version: str) -> dict[str, Any]:
    """What a line of the list says of a version; of one that is broken, that."""
    from usher.model import ModelError

    try:
        facts = registry.manifest(version)
        metrics = facts["metrics"]
        return {
            "roc_auc": metrics["preferences"]["roc_auc"]["mean"]["value"],
            "r2": metrics["engagement"]["r2"]["value"],
            "rows": facts["rows"]["train"],
            "promotable": facts["promotable"],
        }
    except (ModelError, KeyError, TypeError) as error:
        what = str(error) if isinstance(error, ModelError) else f"its manifest lacks figures ({error!r})."
        return dict.fromkeys(SHORT) | {"promotable": False, "broken": what}


def _told(facts: dict[str, Any], registry: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: value for name, value in facts.items() if name != "self_test"}))
        return
    likes, engaged = facts["metrics"]["preferences"], facts["metrics"]["engagement"]
    table = Table("holdout", "model", *facts["metrics"]["baselines"])
    rivals = facts["metrics"]["baselines"].values()
    for name in ("roc_auc", "pr_auc", "brier", "precision", "recall"):
        table.add_row(
            f"{name} (mean)", _span(likes[name]["mean"]), *(_span(r["preferences"][name]["mean"]) for r in rivals)
        )
    hits = (t["top1_hit_rate"] for t in (likes, *(rival["preferences"] for rival in rivals)))
    table.add_row("top-1 hit rate", *map(_span, hits))
    for name in ("r2", "mae"):
        table.add_row(f"engagement {name}", _span(engaged[name]), *(_span(r["engagement"][name]) for r in rivals))
    Console().print(table)
    show(
        f"{facts['model_version']}: {facts['kinds']}; gain in ROC-AUC {_span(likes['gain'])}; "
        f"report {registry.path(facts['model_version']) / 'report.html'}"
    )


def _span(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
