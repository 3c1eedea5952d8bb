"""Real people: MovieLens 100k as Segment messages, replayed and counted; every profile equals pandas' arithmetic."""

from pathlib import Path

import pandas as pd
from harness import job, profiles

from usher.model.reference import millis_of
from usher.movielens import fetch, messages
from usher.replay import replay
from usher.settings import ROOT
from usher.simulator import write_ndjson
from usher.stack import Stack

GAP_MS = 1_800_000


def by_pandas(file: Path) -> pd.DataFrame:
    """Counts by user, straight from the lines of the file."""
    lines = pd.read_json(file, lines=True, convert_dates=False, dtype={"messageId": str})
    lines["time"] = lines["timestamp"].map(millis_of)
    lines["used"] = lines["event"].eq("Feature Used").astype(int)
    lines = lines.sort_values(["userId", "time"], kind="stable")
    gap = lines.groupby("userId")["time"].diff()
    lines["session"] = (gap.isna() | (gap > GAP_MS)).astype(int)
    lines["active"] = gap.where(gap <= GAP_MS, 0)
    return lines.groupby("userId").agg(
        events_total=("messageId", "nunique"), features_used=("used", "sum"),
        first_seen=("time", "min"), last_seen=("time", "max"),
        sessions_total=("session", "sum"), active_ms=("active", "sum"),
    ).astype("int64")  # fmt: skip


def features_by_pandas(file: Path) -> dict[str, dict[str, int]]:
    """How often each user used each feature."""
    lines = pd.read_json(file, lines=True, convert_dates=False)
    used = lines[lines["event"] == "Feature Used"]
    counted = used.groupby(["userId", used["properties"].map(lambda p: p["feature"])]).size()
    return {
        str(user): {str(f): int(n) for f, n in part.droplevel(0).items()} for user, part in counted.groupby(level=0)
    }


def test_movielens_is_counted_as_pandas_counts_it(fresh: Stack, tmp_path: Path) -> None:
    fetch(ROOT / "build" / "recbole")
    file = tmp_path / "movielens.ndjson"
    lines = write_ndjson(messages(ROOT / "build" / "recbole"), file)
    assert replay(file, fresh.kafka) == lines
    with job(fresh, tmp_path, "--bounded", "--json") as running:
        counts = running.counts(300)
    assert counts == {"read": lines, "accepted": lines, "duplicate": 0, "late": 0, "quarantined": 0, "profiles": 943}
    documents = profiles(fresh)
    right = by_pandas(file)
    rows = {
        user: {**d, "first_seen": millis_of(d["first_seen"]), "last_seen": millis_of(d["last_seen"])}
        for user, d in documents.items()
    }
    found = pd.DataFrame.from_dict(rows, orient="index")[right.columns].astype("int64").sort_index()
    pd.testing.assert_frame_equal(found, right.sort_index(), check_names=False)
    assert {user: d["feature_counts"] for user, d in documents.items()} == features_by_pandas(file)
    assert {d["events_30m"] for d in documents.values()} == {0}
