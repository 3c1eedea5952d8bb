"""Whether personalization helps: the figures against independent arithmetic, and the page in a browser."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch, helpers
from playwright.sync_api import Page
from running import ADMIN, Service, profile, serving

from usher.model.reference import iso_of
from usher.rules import Bundle
from usher.rules.recent import HOUR_MS
from usher.service.lift import KPIS, Experiment, Sides, experiments, read, text
from usher.settings import ROOT
from usher.stack import Stack

HOUR = time.time_ns() // 1_000_000 // HOUR_MS
USERS = 1200


def fnv1a(text: str) -> int:
    """As its authors publish it, byte by byte."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def is_held(user_id: str) -> bool:
    """Of a holdout of 20 percent with the seed `holdout`."""
    return fnv1a(str(fnv1a("holdout" + user_id))) % 10000 < 2000


def measured(
    treated: list[list[tuple[float, float]]], control: list[list[tuple[float, float]]]
) -> list[dict[str, Any]]:
    """What is said of users with those parts and wholes."""
    sides = Sides(Experiment("e", "", lambda user_id: user_id == "treated"))
    for user_id, rows in (("treated", treated), ("control", control)):
        for row in rows:
            sides.add(user_id, row)
    return list(sides.summary()["kpis"])


def rows_of(values: "np.ndarray[Any, Any]") -> list[list[tuple[float, float]]]:
    """The same part and whole, [n, 2], for every figure."""
    return [[(float(part), float(whole))] * len(KPIS) for part, whole in values]


def test_a_share_is_compared_as_in_any_textbook() -> None:
    """300 of 400 against 120 of 200: 0.75 - 0.60, ± 1.96 · √(p(1-p)/(n-1) of either side)."""
    treated = rows_of(np.array([[1, 1]] * 300 + [[0, 1]] * 100))
    control = rows_of(np.array([[1, 1]] * 120 + [[0, 1]] * 80))
    found = measured(treated, control)
    half = 1.96 * (0.75 * 0.25 / 399 + 0.6 * 0.4 / 199) ** 0.5
    for kpi, one in zip(KPIS, found, strict=True):
        assert (one["treated"], one["control"]) == (0.75, 0.6)
        assert [one["difference"], one["low"], one["high"]] == pytest.approx([0.15, 0.15 - half, 0.15 + half], abs=1e-5)
        assert one["verdict"] == ("worse" if kpi.name.startswith("hours") else "better")


def test_the_interval_of_a_ratio_is_as_wide_as_resampling_makes_it() -> None:
    """Clicks per content shown, of users who are shown unequally much and differ in how they click."""
    rng = np.random.default_rng(5)
    shown = rng.poisson(6, (2, 900)) + rng.integers(0, 2, (2, 900)) * 10
    clicked = rng.binomial(shown, rng.beta(2, 8, (2, 900)))
    [*_, one] = measured(*(rows_of(np.stack([clicked[side], shown[side]], axis=1)) for side in (0, 1)))
    drawn = rng.integers(0, 900, (2, 4000, 900))
    ratios = [clicked[side][drawn[side]].sum(1) / shown[side][drawn[side]].sum(1) for side in (0, 1)]
    low, high = np.percentile(ratios[0] - ratios[1], [2.5, 97.5])
    assert one["high"] - one["low"] == pytest.approx(high - low, rel=0.05)
    assert one["low"] == pytest.approx(low, abs=(high - low) / 20)


def test_where_nothing_differs_one_in_twenty_is_a_false_alarm() -> None:
    rng = np.random.default_rng(7)
    verdicts = []
    for _ in range(600):
        values = np.stack([rng.binomial(4, 0.3, 500), np.full(500, 4)], axis=1)
        verdicts.append(measured(rows_of(values[:400]), rows_of(values[400:]))[0]["verdict"])
    alarms = sum(verdict != "no difference shown" for verdict in verdicts)
    assert 10 <= alarms <= 54, "30 expected; of a binomial distribution, 99.99 % lie in between"


def test_too_few_users_say_nothing() -> None:
    few, many = rows_of(np.array([[1, 1]] * 29)), rows_of(np.array([[1, 1], [0, 1]] * 50))
    assert {one["verdict"] for one in measured(many, few)} == {"too few users"}
    one = measured(many, [])[0]
    assert (one["treated"], one["control"], one["difference"], one["verdict"]) == (0.5, None, None, "too few users")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rules, a fifth of the users held out, and one of them rolled out to half of the others."""
    folder = tmp_path_factory.mktemp("held-out")
    for name in ("rules", "content"):
        shutil.copytree(ROOT / "conf" / name, folder / name)
    (folder / "rules" / "holdout.yaml").write_text(
        "holdout: {percent: 20, seed: holdout}\n"
        "rules:\n"
        "  - {id: half, slot: next_step, priority: 999, when: {country: DE}, content: default_welcome, rollout: 50}\n"
    )
    return folder


@pytest.fixture(scope="module")
def newcomers(client: Elasticsearch) -> Iterator[list[dict[str, Any]]]:
    """Who is held out completes onboarding half as often, and clicks as often as others; and old users, and bots."""
    rng = np.random.default_rng(3)
    people = []
    for n in range(USERS):
        user_id = f"lift-{n}"
        completed = rng.random() < (0.3 if is_held(user_id) else 0.6)
        done = {"Onboarding Completed|": [[HOUR - 40 + int(rng.integers(1, 30)), 1]]} if completed else {}
        shown = int(rng.integers(1, 9))
        person = {"content_shown": shown, "content_clicked": int(rng.binomial(shown, 0.25)), "sessions_total": 2}
        people.append(profile(user_id, **person, recent=json.dumps(done), first_seen=iso_of((HOUR - 40) * HOUR_MS)))
    old = [profile(f"lift-old-{n}", first_seen=iso_of((HOUR - 31 * 24) * HOUR_MS)) for n in range(50)]
    bots = [profile(f"lift-bot-{n}", is_bot=True) for n in range(50)]
    everyone = [{"_index": "profiles", "_id": one["user_id"], "_source": one} for one in (*people, *old, *bots)]
    helpers.bulk(client, everyone, refresh=True)
    yield people
    for one in everyone:
        del one["_source"]
    helpers.bulk(client, [one | {"_op_type": "delete"} for one in everyone], refresh=True)


def test_what_the_holdout_shows(ready: Stack, newcomers: list[dict[str, Any]], held_out: Path) -> None:
    found = read({"hosts": [ready.elasticsearch]}, Bundle.load(held_out))
    mine = [one for one in newcomers if is_held(one["user_id"])]
    holdout = found["experiments"][0]
    others = found["users"] - USERS  # whom other tests left behind
    assert 0 <= others <= 30, "neither old users nor bots"
    assert len(mine) <= holdout["control"] <= len(mine) + others
    assert holdout["treated"] + holdout["control"] == found["users"] and found["all"]
    kpis = {one["kpi"]: one for one in holdout["kpis"]}
    completed = kpis["completed onboarding"]
    held = sum("Completed" in one["recent"] for one in mine) / len(mine)
    assert completed["control"] == pytest.approx(held, abs=others / len(mine))
    assert completed["verdict"] == "better" and 0.2 < completed["difference"] < 0.4
    assert kpis["features used per user"]["verdict"] == "no difference shown"
    assert kpis["hours to complete it"]["treated"] == pytest.approx(15, abs=1.5), "1 to 29 hours, each as likely"
    line = next(line for line in text(found).splitlines() if line.strip().startswith("completed onboarding"))
    assert line.endswith("better") and f"{completed['control'] * 100:.1f} %" in line


def test_a_rule_that_is_rolled_out_in_part(held_out: Path) -> None:
    """Who is held out takes no part in it; of the others half."""
    bundle = Bundle.load(held_out)
    names = [f"u{n}" for n in range(2000)]
    [_, half] = experiments(bundle)
    said = {name: half.gets(name) for name in names}
    assert half.name == "half" and "50 %" in half.what
    assert [name for name in names if said[name] is None] == [name for name in names if is_held(name)]
    free = [name for name in names if not is_held(name)]
    assert [said[name] for name in free] == [fnv1a(str(fnv1a("half" + name))) % 10000 < 5000 for name in free]
    assert experiments(Bundle.load(ROOT / "conf")) == []


def test_the_command(ready: Stack, newcomers: list[dict[str, Any]], held_out: Path) -> None:
    environment = os.environ | {"USHER_KAFKA": ready.kafka, "USHER_ELASTICSEARCH": ready.elasticsearch}

    def said(*options: str) -> str:
        command = [sys.executable, "-m", "usher.cli", "rules", "lift", *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "Nobody is held out" in said()
    told = json.loads(said("--json"))
    assert told["experiments"] == [] and told["rules_version"] == Bundle.load(ROOT / "conf").version
    told = json.loads(said("--json", "--dir", str(held_out)))
    assert [one["name"] for one in told["experiments"]] == ["holdout", "half"]


def test_the_page(
    ready: Stack, newcomers: list[dict[str, Any]], held_out: Path, tmp_path: Path, page: Page, service: Service
) -> None:
    with serving(ready.kafka, ready.elasticsearch, tmp_path, rules_dir=str(held_out)) as other:
        page.set_extra_http_headers({"X-API-Key": ADMIN})
        page.goto(f"{other.url}/dashboard")
        page.get_by_text("Does it help?").click()
        row = page.get_by_role("row").filter(has_text="completed onboarding").first
        assert "better" in row.inner_text() and row.locator("svg").count() == 1
        left, right = (float(row.locator("line.range").get_attribute(end) or "") for end in ("x1", "x2"))
        assert 0 < left < right == 100, "all of the interval is right of zero"
        assert page.get_by_role("heading", name="half").count() == 1
    page.goto(f"{service.url}/dashboard/lift")
    assert page.get_by_text("Nobody is held out").count() == 1
