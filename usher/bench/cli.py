"""`usher bench --help`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import print as show

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def throughput(events: int = 6_000_000, users: int = 20_000, per_second: int = 5000, as_json: Json = False) -> None:
    """Events/s of the full path over events/s of a bare json scan into blackhole."""
    from usher.bench.throughput import throughput as measure

    _show(measure(events, users, per_second), as_json)


@app.command()
def freshness(per_second: int = 2000, seconds: int = 60, lone: int = 10, as_json: Json = False) -> None:
    """From Kafka's append to the profile readable by id; at a steady rate, and for a lone user."""
    from usher.bench.freshness import freshness as measure

    _show(measure(per_second, seconds, lone), as_json)


@app.command()
def decide(profiles: int = 100_000, per_second: int = 300, seconds: float = 15, as_json: Json = False) -> None:
    """Decisions, open and closed loop, beside the bare Elasticsearch GET and an empty endpoint; collected events/s."""
    from usher.bench.decide import decide as measure

    _show(measure(profiles, per_second, seconds), as_json)


@app.command()
def memory(users: int = 100_000, as_json: Json = False) -> None:
    """Resident memory of the whole job while so many users are active, with both state backends."""
    from usher.bench.memory import memory as measure

    _show(measure(users), as_json)


@app.command()
def rules(rules: int = 100, users: int = 100_000, as_json: Json = False) -> None:
    """Decisions against zen-engine and plain Python, one user's latency, and the prover as rules grow."""
    from usher.bench.rules import rules as measure

    _show(measure(rules, users), as_json)


@app.command()
def predict(
    users: int = 600,
    rounds: int = 9,
    kinds: str = "linear,gradient_boosting,random_forest,neural_net",
    seed: int = 1,
    as_json: Json = False,
) -> None:
    """Rows/s of the prediction UDF and of bare ONNX Runtime against scikit-learn, at batches of 1, 100 and 1000."""
    from usher.bench.predict import predict as measure

    _show(measure(users, seed, rounds, tuple(kinds.split(","))), as_json)


@app.command()
def movielens(
    kinds: str = "linear,gradient_boosting",
    seed: int = 1,
    report: Annotated[Path | None, typer.Option(help="Write the page with plots here.")] = None,
    as_json: Json = False,
) -> None:
    """Real people: which genres they turn to next, against both baselines, with intervals."""
    from usher.movielens_model import evaluate
    from usher.settings import ROOT

    trained = evaluate(ROOT / "build" / "recbole", seed, tuple(kinds.split(",")))
    if report is not None:
        report.write_bytes(trained.files["report.html"])
    likes = trained.facts["metrics"]["preferences"]
    rivals = {name: r["preferences"]["roc_auc"]["mean"] for name, r in trained.facts["metrics"]["baselines"].items()}
    roc_auc = {"model": likes["roc_auc"]["mean"], **rivals, "gain_over_the_better": likes["gain"]}
    facts = {"rows": trained.facts["rows"], "kinds": trained.facts["kinds"], "parity": trained.facts["parity"]}
    _show({**facts, "roc_auc": roc_auc, "by_genre": likes["roc_auc"]}, as_json)


@app.command()
def training(
    rows: int = 1_000_000, users: int = 5000, kinds: str = "linear,gradient_boosting", as_json: Json = False
) -> None:
    """Seconds and memory to train on so many rows."""
    from usher.bench.training import training as measure

    _show(measure(rows, users, tuple(kinds.split(","))), as_json)


@app.command()
def drift(streams: int = 60, seed: int = 1, as_json: Json = False) -> None:
    """How soon a change is found, and how often one where there is none."""
    from usher.bench.detection import detection as measure

    _show(measure(streams, seed), as_json)


@app.command()
def change(
    users: int = 2500,
    seed: int = 1,
    figure: Annotated[Path | None, typer.Option(help="Draw it: a file that ends in .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """A product that changes: accuracy falls, drift is found, a new model is promoted, accuracy is back."""
    from usher.bench.change import change as measure

    _show(measure(users, seed, figure), as_json)


@app.command()
def upgrade(per_second: int = 2000, as_json: Json = False) -> None:
    """Seconds without processing while a job on a real cluster is replaced, with its state, by its successor."""
    from usher.bench.upgrade import upgrade as measure

    _show(measure(per_second), as_json)


def _show(result: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(result)) if as_json else show(result)
