"""MovieLens-100k, a test of the trainer on real people: from what someone rated, which genres do they turn to next?

After each ten ratings of a user, the input is what those so far were (by genre: how many, how many of the last ten, how
many liked; when and how quickly; age, gender), and the label of a genre is whether it is more frequent among the next
ten, if they come within a day, than it is on average. The split is in time; the trainer is that of `usher train`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usher.model import Dataset, config, train
from usher.model._trained import Trained
from usher.movielens import fetch, slug, table

STEP = 10
MOST = 20
"""Examples of one user: the most eager would count for more than their share."""
GENRES = (
    "action", "adventure", "animation", "childrens", "comedy", "crime", "documentary", "drama", "fantasy", "film_noir",
    "horror", "musical", "mystery", "romance", "sci_fi", "thriller", "war", "western",
)  # fmt: skip
LIKED = 4.0
DAY_MS = 86_400_000
NAMES = (
    *(f"so_far_{genre}" for genre in GENRES),
    *(f"lately_{genre}" for genre in GENRES),
    *(f"liked_{genre}" for genre in GENRES),
    "rated", "mean_rating", "mean_year", "mean_year_lately", "minutes",
    "age", "is_female",
)  # fmt: skip


def examples(directory: Path) -> Dataset:
    """One example for each ten ratings of a user that are followed by ten more within a day."""
    ratings = _ratings(fetch(directory))
    usual = np.asarray(ratings[[*GENRES]].mean(), np.float64) * STEP
    found = [example for _, mine in ratings.groupby("user_id") for example in _of_one(mine, usual)]
    found.sort(key=lambda example: example[3])
    inputs, labels, liking, times, users = (np.array(part) for part in zip(*found, strict=True))
    return Dataset(
        inputs.astype(np.float32),
        labels.astype(np.float32),
        liking.astype(np.float32),
        times.astype(np.int64),
        users.astype(object),
        pd.DataFrame({"gender": np.where(inputs[:, -1] == 1, "F", "M")}).astype(object),
        names=NAMES,
        labels=GENRES,
        interests=NAMES[: len(GENRES)],
    )


def _of_one(mine: pd.DataFrame, usual: NDArray[np.float64]) -> Iterator[tuple[Any, ...]]:
    """Inputs, labels, time and user at each cut."""
    genres, rating = mine[[*GENRES]].to_numpy(), mine["rating"].to_numpy()
    times, year = mine["time"].to_numpy(), mine["year"].to_numpy()
    for cut in range(STEP, min(len(mine) - STEP, STEP * MOST) + 1, STEP):
        if times[cut + STEP - 1] - times[cut - 1] > DAY_MS:
            continue
        before, lately, after = genres[:cut], genres[cut - STEP : cut], genres[cut : cut + STEP]
        liked = before[rating[:cut] >= LIKED].sum(axis=0)
        rest = [cut, rating[:cut].mean(), year[:cut].mean() - 1900, year[cut - STEP : cut].mean() - 1900]
        rest += [(times[cut - 1] - times[0]) / 60_000, mine["age"].iloc[0], mine["is_female"].iloc[0]]
        inputs = np.concatenate([before.sum(axis=0), lately.sum(axis=0), liked, rest])
        liking = rating[cut : cut + STEP].mean() * 20  # five stars are 100
        yield inputs, after.sum(axis=0) > usual, liking, times[cut - 1], mine["user_id"].iloc[0]


def _ratings(wheel: Path) -> pd.DataFrame:
    """Each rating with what is known of its film and its user, by user and time."""
    films, people = pd.DataFrame(table(wheel, "item")), pd.DataFrame(table(wheel, "user"))
    for genre in GENRES:
        films[genre] = [int(genre in map(slug_of, text.split())) for text in films["class"]]
    years = pd.to_numeric(films["release_year"], errors="coerce")  # of a few films it is unknown
    films["year"] = years.fillna(years.median())
    people = people.assign(age=people["age"].astype(int), is_female=(people["gender"] == "F").astype(int))
    ratings = pd.DataFrame(table(wheel, "inter")).astype({"rating": float, "timestamp": float})
    ratings["time"] = ratings["timestamp"].astype(np.int64) * 1000
    known = ratings.merge(films[["item_id", "year", *GENRES]], on="item_id")
    known = known.merge(people[["user_id", "age", "is_female"]], on="user_id")
    return known.sort_values(["user_id", "time", "item_id"], ignore_index=True)


def slug_of(genre: str) -> str:
    """`Children's` is `childrens`."""
    return slug([genre])


def evaluate(directory: Path, seed: int, candidates: tuple[str, ...]) -> Trained:
    """Train on the earlier three quarters in time, measure on the rest, beside both baselines."""
    policy = config.load()
    day = replace(policy.training, horizon_days=1)  # a label is complete within a day
    return train(examples(directory), replace(policy, training=day), seed, candidates)
