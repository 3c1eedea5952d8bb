"""Where examples come from: counted by hand, and against the reference arithmetic."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from usher.columns import COUNTED, NUMBERS
from usher.features import MODEL_INPUTS, PRODUCT_FEATURES
from usher.model import Dataset, ModelError, label, log
from usher.model.dataset import SCORES, one_a_day
from usher.model.reference import profile_of
from usher.simulator import Product, simulate_log
from usher.simulator._days import life_of
from usher.simulator._history import DAY_MS, START

HOUR = 3_600_000


def row(user: str, time: int, **known: Any) -> dict[str, Any]:
    return {
        "user_id": user, "updated_at": time, "device_type": "mobile", "continent": "EU", "country": "DE",
        **dict.fromkeys(COUNTED, 0), **known,
    }  # fmt: skip


def test_the_simulated_log_is_what_the_reference_counts() -> None:
    rows = simulate_log(12, seed=3, days=4)
    from random import Random

    arrivals = Random("3:arrivals")
    begin = round(START.timestamp() * 1000)
    checked = 0
    for number in range(12):
        arrival = begin + int(arrivals.random() * 0.8 * 4 * DAY_MS)
        person, life = life_of(number, 3, arrival, begin + 4 * DAY_MS)
        known = [message for _, message in life if message.get("userId")]
        mine = rows[rows["user_id"] == person.user_id]
        assert len(mine) == len({message["timestamp"] for message in known})
        for position in range(0, len(mine), 17):
            counted = profile_of(known[: position + 1])
            assert {name: mine.iloc[position][name] for name in COUNTED} == {name: counted[name] for name in COUNTED}
            checked += 1
    assert checked > 30


def test_labels_are_what_came_within_the_horizon() -> None:
    day = 20_000 * DAY_MS
    rows = pd.DataFrame(
        [
            row("a", day, used_reports=1, features_used=1),
            row("a", day + 24 * HOUR, used_reports=3, features_used=3, active_ms=600_000),
            row(
                "a", day + 49 * HOUR, used_reports=9, used_analytics=9, features_used=18, active_ms=600_000
            ),  # too late
            row("b", day + 1 * HOUR, used_analytics=5, features_used=5),
            row("b", day + 49 * HOUR, used_analytics=6, features_used=6, steps_completed=2),
            row("c", day + 90 * HOUR),  # its horizon is not over
        ]
    )
    examples = label(rows, 48 * HOUR, min_uses=2)
    found = dict(zip(examples.users, examples.preferences.tolist(), strict=True))
    wanted = {"a": ["reports"], "b": []}
    assert examples.times.tolist() == [day, day + HOUR, day + 24 * HOUR]
    assert found["b"] == [float(name in wanted["b"]) for name in PRODUCT_FEATURES]
    assert examples.preferences[0].tolist() == [float(name in wanted["a"]) for name in PRODUCT_FEATURES]
    # a: 10 minutes and 2 uses; b: 1 use and 2 steps, worth 2 each
    assert examples.engagement[:2] == pytest.approx([100 * (1 - np.exp(-12 / 60)), 100 * (1 - np.exp(-5 / 60))])
    assert examples.inputs[0, MODEL_INPUTS.index("used_reports")] == 1
    assert examples.inputs[0, MODEL_INPUTS.index("device_mobile")] == 1
    assert examples.inputs[0, MODEL_INPUTS.index("continent_EU")] == 1


def labelled(*rows: dict[str, Any]) -> dict[tuple[str, int], tuple[list[str], float]]:
    """Of each person and hour: what they preferred afterwards, within 48 hours, and the points of their engagement."""
    end = row("the end", 1000 * HOUR, anonymous_ids=())
    examples = label(pd.DataFrame([*rows, end]), 48 * HOUR, min_uses=2, every_row=True)
    names = [[name for name, yes in zip(PRODUCT_FEATURES, likes, strict=True) if yes] for likes in examples.preferences]
    points = (-60 * np.log1p(-examples.engagement.astype("f8") / 100)).round(3).tolist()
    hours = (examples.times // HOUR).tolist()
    return dict(zip(zip(examples.users, hours, strict=True), zip(names, points, strict=True), strict=True))


def uses(user: str, hour: int, reports: int, *ids: str, **known: Any) -> dict[str, Any]:
    """A row of somebody who did nothing but use reports."""
    counts = dict.fromkeys(("used_reports", "features_used", "events_total", "events_30m"), reports)
    return row(user, hour * HOUR, anonymous_ids=ids) | counts | known


def test_what_a_visitor_does_after_signing_up_is_theirs() -> None:
    found = labelled(
        uses("anon", 0, 1),
        uses("zoe", 1, 1, "anon"),  # the merge: nothing new
        uses("zoe", 2, 11, "anon"),
        uses("zoe", 60, 12, "anon"),  # too late for the first two
    )
    assert found == {
        ("zoe", 0): (["reports"], 10), ("zoe", 1): (["reports"], 10), ("zoe", 2): ([], 0), ("zoe", 60): ([], 0),
    }  # fmt: skip


def test_what_the_other_id_did_before_is_no_future_of_its_owner() -> None:
    found = labelled(
        uses("anon", 0, 20),
        uses("zoe", 1, 1),
        uses("zoe", 2, 21, "anon"),  # 20 + 1
        uses("zoe", 3, 22, "anon"),
    )
    assert found[("zoe", 0)] == (["reports"], 2)  # zoe's of hours 1 and 3
    assert found[("zoe", 1)] == found[("zoe", 2)] == ([], 1)


def test_a_chain_of_ids_and_a_late_row_of_one_of_them_count_once() -> None:
    found = labelled(
        uses("anon", 0, 3),
        uses("bob", 1, 3, "anon"),
        uses("robert", 2, 1),
        uses("bob", 3, 5, "anon"),
        uses("robert", 4, 7, "anon", "bob"),  # 5 + 1, and 1 of anon's
        uses("anon", 4, 4),  # was under way
        uses("robert", 5, 10, "anon", "bob"),
    )
    assert {person for person, _ in found} == {"robert"}
    assert [found[("robert", hour)][1] for hour in range(6)] == [7, 7, 6, 4, 3, 0]


def test_one_person_is_one_user_and_one_example_a_day() -> None:
    rows = pd.DataFrame([uses("anon", 1, 1), uses("zoe", 2, 1, "anon"), uses("zoe", 3, 4, "anon"), uses("x", 90, 1)])
    examples = label(rows, 48 * HOUR, 2)
    assert examples.users.tolist() == ["zoe"]


def test_an_id_that_is_older_than_the_log_brings_no_past_into_it() -> None:
    found = labelled(
        uses("zoe", 0, 1),
        uses("anon", 1, 50, events_30m=1),
        uses("zoe", 2, 51, "anon"),
        uses("zoe", 3, 53, "anon"),
    )
    assert found[("zoe", 0)] == (["reports"], 2)


def test_across_a_counter_that_begins_anew_there_is_no_label() -> None:
    found = labelled(
        uses("a", 0, 9, active_ms=10**12), uses("a", 50, 10, active_ms=10**12),
        uses("a", 60, 1, active_ms=60_000), uses("a", 61, 3, active_ms=120_000),
        uses("anon", 0, 2), uses("zoe", 1, 2, "anon"), uses("zoe", 100, 9, "anon"),
        uses("anon", 200, 1), uses("anon", 201, 5),  # zoe was erased; whose this is, the log does not say
        uses("b", 0, 4), uses("anon-2", 0, 7), uses("c", 10, 7, "anon-2"), uses("b", 20, 11, "anon-2"),  # b's after all
    )  # fmt: skip
    assert {key: found.get(key) for key in [("a", 0), ("a", 50), ("a", 60), ("a", 61)]} == {
        ("a", 0): ([], 0), ("a", 50): None, ("a", 60): (["reports"], 3), ("a", 61): ([], 0),
    }  # fmt: skip
    assert [hour for person, hour in found if person == "zoe"] == [1, 100]  # not those of anon
    assert ("b", 0) not in found and ("b", 20) in found


def test_nothing_after_the_decision_changes_its_inputs(examples: Dataset) -> None:
    rows = simulate_log(60, seed=9, days=8)
    cut = rows["updated_at"].quantile(0.8)
    early, whole = label(rows[rows["updated_at"] <= cut], DAY_MS, 2), label(rows, DAY_MS, 2)
    assert (whole.inputs[: len(early) // 2] == early.inputs[: len(early) // 2]).all()


def test_one_row_of_each_user_and_day_whatever_the_order() -> None:
    rows = simulate_log(30, seed=2, days=5)
    taken = one_a_day(rows)
    assert len(taken) == len(rows.groupby(["user_id", rows["updated_at"] // DAY_MS]))
    again = one_a_day(rows.sample(frac=1, random_state=1))
    assert set(again["updated_at"] * 1000 + again["user_id"].str[-3:].astype(int)) == set(
        taken["updated_at"] * 1000 + taken["user_id"].str[-3:].astype(int)
    )


def test_a_change_of_the_product_shows() -> None:
    change = round(datetime(2026, 1, 6, tzinfo=UTC).timestamp() * 1000)
    rows = simulate_log(60, 5, 10, product=Product(change, {"collaboration": 0.0}, {"reports": 0.0}))
    before, after = rows[rows["updated_at"] < change], rows[rows["updated_at"] > change]
    assert before["used_collaboration"].max() == 0 and after["used_collaboration"].max() > 5
    last = after.groupby("user_id")["used_reports"].max()
    first = after.groupby("user_id")["used_reports"].min()
    assert (last == first).all() and before["used_reports"].max() > 5


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = simulate_log(5, seed=4, days=2)
    said = {name: np.linspace(0.1, 0.9, len(rows)).round(4) for name in SCORES}
    rows = rows.assign(model_version="abc", **said, challenger_version="")
    for name in log.CHALLENGER[1:]:
        rows[name] = np.nan
    assert log.write_ndjson(rows, tmp_path / "log.ndjson") == len(rows)
    again = log.read_ndjson(tmp_path / "log.ndjson")
    pd.testing.assert_frame_equal(again[[*rows]], rows, check_dtype=False)
    assert not again["unknown_features"].any() and not again["anonymous_ids"].map(len).any()
    merged = again.assign(anonymous_ids=[("web-1", "web-2")] * len(again))
    log.write_ndjson(merged, tmp_path / "merged.ndjson")
    pd.testing.assert_frame_equal(log.read_ndjson(tmp_path / "merged.ndjson"), merged)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not json\n", r"no log of decisions: line 1 \("),
        ('{"user_id": "a"}\n' * 5, r"line 3 .* and 2 more\. Each must be"),
        ("[]\n", "line 1"),
    ],
)
def test_a_file_that_is_no_log(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "log.ndjson").write_text(text)
    with pytest.raises(ModelError, match=complaint):
        log.read_ndjson(tmp_path / "log.ndjson")
    with pytest.raises(ModelError, match="There is no file"):
        log.read_ndjson(tmp_path / "missing.ndjson")


def test_a_history_that_cannot_be_learned_from() -> None:
    with pytest.raises(ModelError, match="holds no example.*Train on a longer history"):
        label(pd.DataFrame(columns=[*log.FEATURES]), DAY_MS, 2)
    with pytest.raises(ModelError, match="holds no example"):
        label(pd.DataFrame([row("a", 0)]), DAY_MS, 2)
    two = [row("a", 0), row("a", 3 * DAY_MS)]
    with pytest.raises(ModelError, match=r"NaN or infinite inputs: pages_viewed \(1 rows\)"):
        label(pd.DataFrame([two[0] | {"pages_viewed": np.nan}, two[1]]), DAY_MS, 2)
    with pytest.raises(ModelError, match=r"infinite .*active_ms"):
        label(pd.DataFrame([two[0] | {"active_ms": np.inf}, two[1]]), DAY_MS, 2)
    with pytest.raises(ModelError, match=r"no model input stands for: device_type 'watch' \(1 rows\), continent 'XX'"):
        label(pd.DataFrame([two[0] | {"device_type": "watch", "continent": "XX"}, two[1]]), DAY_MS, 2)
    assert COUNTED[: len(NUMBERS)] == NUMBERS
