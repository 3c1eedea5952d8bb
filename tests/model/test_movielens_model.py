"""Real people: which genres they turn to next. The examples by hand, and the model against both baselines."""

import csv
import io
import zipfile

import numpy as np
import pytest

from usher.model import Dataset
from usher.movielens import fetch
from usher.movielens_model import GENRES, NAMES, STEP, evaluate, examples
from usher.settings import ROOT

RECBOLE = ROOT / "build" / "recbole"


@pytest.fixture(scope="module")
def people() -> Dataset:
    return examples(RECBOLE)


def rows(name: str) -> list[list[str]]:
    with zipfile.ZipFile(fetch(RECBOLE)) as wheel, wheel.open(f"recbole/dataset_example/ml-100k/ml-100k.{name}") as raw:
        return [*csv.reader(io.TextIOWrapper(raw, "utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE)][1:]


def test_the_examples_of_one_person(people: Dataset) -> None:
    """Counted from the file itself, for the drama of the person of the first example."""
    drama = {item: "Drama" in genres.split() for item, _, _, genres in rows("item")}
    person, at = people.users[0], people.times[0]
    mine = sorted((float(time), item, float(stars)) for user, item, stars, time in rows("inter") if user == person)
    cut = max(i for i, (time, _, _) in enumerate(mine) if time * 1000 == at) + 1
    cut -= cut % STEP
    values = dict(zip(NAMES, people.inputs[0].tolist(), strict=True))
    assert values["rated"] == cut
    assert values["so_far_drama"] == sum(drama[item] for _, item, _ in mine[:cut])
    assert values["lately_drama"] == sum(drama[item] for _, item, _ in mine[cut - STEP : cut])
    assert values["liked_drama"] == sum(drama[item] for _, item, stars in mine[:cut] if stars >= 4)
    assert values["mean_rating"] == pytest.approx(np.mean([stars for _, _, stars in mine[:cut]]))
    usual = np.mean([drama[item] for _, item, _, _ in rows("inter")]) * STEP
    came = sum(drama[item] for _, item, _ in mine[cut : cut + STEP])
    assert people.preferences[0, GENRES.index("drama")] == float(came > usual)


def test_it_beats_both_baselines_clearly() -> None:
    metrics = evaluate(RECBOLE, 1, ("linear",)).facts["metrics"]
    likes = metrics["preferences"]["roc_auc"]["mean"]
    assert set(metrics["baselines"]) == {"popularity", "best_feature"}
    for rival in metrics["baselines"].values():
        assert likes["low"] > rival["preferences"]["roc_auc"]["mean"]["high"]
    assert metrics["preferences"]["gain"]["low"] > 0.02
