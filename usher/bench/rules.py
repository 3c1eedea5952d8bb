"""`usher bench rules`: 100 rules on 100,000 users, against zen-engine and plain Python; one user; and the prover."""

import json
import math
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.progress import track

from usher.features import CONTINENTS, DEVICE_TYPES, PRODUCT_FEATURES
from usher.rules import Bundle, Rule
from usher.rules.conditions import EVERYONE, All, Leaf
from usher.rules.prove import prove

SLOT = "next_step"
FIELDS = ("continent", "device_type", "sessions_total", "steps_completed", "preferences.analytics")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda fact, value: fact == value,
    "ge": lambda fact, value: fact >= value,
    "lt": lambda fact, value: fact < value,
}
ZEN_BATCH = 1000
RUNS = 3
"""Of the two fast engines the best of so many counts: whatever else the machine does disturbs them most."""
_SIGNS = {"ge": ">=", "lt": "<"}


def rules(rules: int, users: int) -> dict[str, Any]:
    """Users a second of the three on the same matrix, µs for one user, and seconds of the prover as rules grow."""
    matrix, people = decision_matrix(rules), newcomers(users)
    bundle = Bundle(matrix, {}, [SLOT])
    engines: dict[str, Callable[[], list[str | None]]] = {
        "usher": lambda: _columns(bundle, people),
        "zen": _zen(matrix, people),
        "python": lambda: [_row_by_row(matrix, user) for user in track(people, "plain Python", transient=True)],
    }
    seconds: dict[str, float] = {}
    answers: dict[str, list[str | None]] = {}
    for name, run in engines.items():
        for _ in range(1 if name == "python" else RUNS):
            start = time.perf_counter()
            answers[name] = run()
            seconds[name] = min(time.perf_counter() - start, seconds.get(name, math.inf))
    if not answers["usher"] == answers["zen"] == answers["python"]:
        raise RuntimeError("The three engines do not agree on every user.")
    return {
        "rules": len(matrix),
        "users": users,
        "users_s": {name: round(users / taken) for name, taken in seconds.items()},
        "ratio_zen": round(seconds["zen"] / seconds["usher"], 1),
        "ratio_python": round(seconds["python"] / seconds["usher"], 1),
        "one_user_us": _one_user(bundle, people, time.perf_counter_ns),
        # of a machine that others use as well, the processor's time says more than the clock on the wall
        "one_user_cpu_us": _one_user(bundle, people, time.thread_time_ns),
        "prover_s": {str(count): _prover(count) for count in (75, 150, 300, 600)},
    }


def decision_matrix(count: int, seed: int = 1) -> list[Rule]:
    """Conjunctions of three questions about five fields, every priority another; the last rule is for everyone."""
    rng = random.Random(seed)
    found = [Rule("rest", SLOT, 0, EVERYONE, "rest")]
    for number in range(count - 1):
        leaves = tuple(_leaf(rng, name) for name in rng.sample(FIELDS, 3))
        found.append(Rule(f"r{number}", SLOT, count - number, All(leaves), f"c{number % 20}"))
    return found


def newcomers(count: int, seed: int = 2) -> list[dict[str, Any]]:
    """Users with a value for each field: zen-engine has no notion of an unknown one."""
    rng = random.Random(seed)
    return [{name: _value(rng, name) for name in FIELDS} for _ in range(count)]


def _leaf(rng: random.Random, field: str) -> Leaf:
    value = _value(rng, field)
    return Leaf(field, "eq" if isinstance(value, str) else rng.choice(("ge", "lt")), value)


def _value(rng: random.Random, field: str) -> Any:
    if field == "continent":
        return rng.choice(CONTINENTS)
    if field == "device_type":
        return rng.choice(DEVICE_TYPES)
    return round(rng.random(), 2) if field.startswith("preferences") else rng.randint(1, 9)


def _columns(bundle: Bundle, people: list[dict[str, Any]]) -> list[str | None]:
    """From rows to columns and back to a list: what a caller with rows pays, too."""
    columns = {name: [user[name] for user in people] for name in FIELDS}
    found: list[str | None] = bundle.decide(columns, 0)[SLOT].rule_id.tolist()
    return found


def _zen(matrix: list[Rule], people: list[dict[str, Any]]) -> Callable[[], list[str | None]]:
    """The matrix as a decision table of hit policy "first", loaded before the clock starts, asked batch by batch."""
    from zen import ZenEngine

    inputs = [{"id": name, "name": name, "field": name.replace(".", "_")} for name in FIELDS]
    table = [
        {"_id": rule.id, "out": json.dumps(rule.id), **{leaf.field: _cell(leaf) for leaf in _asked(rule)}}
        for rule in sorted(matrix, key=lambda rule: rule.order)
    ]
    outputs = [{"id": "out", "name": "rule", "field": "rule"}]
    content = {"hitPolicy": "first", "inputs": inputs, "outputs": outputs, "rules": table}
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "table", "type": "decisionTableNode", "name": "table", "content": content},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    edges = [{"id": f"{a}{b}", "sourceId": a, "targetId": b} for a, b in (("in", "table"), ("table", "out"))]
    engine = ZenEngine({"loader": {"type": "static", "content": {"matrix": {"nodes": nodes, "edges": edges}}}})
    flat = [{name.replace(".", "_"): value for name, value in user.items()} for user in people]
    asked: list[Any] = [{"key": "matrix", "context": user} for user in flat]
    batches = [asked[first : first + ZEN_BATCH] for first in range(0, len(asked), ZEN_BATCH)]
    engine.evaluate_batch(asked[:10])

    def run() -> list[str | None]:
        found = [engine.evaluate_batch(batch) for batch in track(batches, "zen-engine", transient=True)]
        return [one["data"]["result"]["rule"] for batch in found for one in batch]

    return run


def _cell(leaf: Leaf) -> str:
    return json.dumps(leaf.value) if leaf.op == "eq" else f"{_SIGNS[leaf.op]} {leaf.value}"


def _asked(rule: Rule) -> list[Leaf]:
    return [leaf for leaf in rule.when.items if isinstance(leaf, Leaf)] if isinstance(rule.when, All) else []


def _row_by_row(matrix: list[Rule], user: dict[str, Any]) -> str | None:
    """As json-rules-engine does: all rules of each user, by fact, operator and value; the highest priority wins."""
    met = [rule for rule in matrix if all(OPERATORS[leaf.op](user[leaf.field], leaf.value) for leaf in _asked(rule))]
    return max(met, key=lambda rule: rule.priority).id if met else None


def _one_user(bundle: Bundle, people: list[dict[str, Any]], clock: Callable[[], int]) -> dict[str, float]:
    micros = []
    for user in people[:20_000]:
        start = clock()
        bundle.decide_one(user, 0)
        micros.append((clock() - start) / 1000)
    return {f"p{q}": round(float(np.percentile(micros, q)), 1) for q in (50, 95, 99)}


def _prover(count: int) -> float:
    """Seconds for `count` rules in 20 slots, of five priorities, with questions about texts, numbers and devices."""
    rng = random.Random(count)
    found = []
    for number in range(count):
        slot, place = f"slot_{number % 20}", number // 20
        if place == 0:
            found.append(Rule(f"r{number}", slot, 0, EVERYONE, "rest"))
            continue
        asked = [
            Leaf("device_type", "eq", DEVICE_TYPES[place % 4]),
            Leaf("sessions_total", "ge", place),
            Leaf("locale", "starts_with", f"{rng.choice('abcdef')}{place % 7}"),
            Leaf(f"preferences.{rng.choice(PRODUCT_FEATURES)}", "ge", place / 100),
        ]
        found.append(Rule(f"r{number}", slot, 1 + place % 5, All(tuple(asked)), f"c{place % 3}"))
    bundle = Bundle(found, {}, [f"slot_{number}" for number in range(20)])
    start = time.perf_counter()
    if any(finding.kind == "undecided" for finding in prove(bundle, total_s=300)):
        raise RuntimeError(f"The prover did not come to an end with {count} rules.")
    return round(time.perf_counter() - start, 2)
