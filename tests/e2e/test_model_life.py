"""A model's life beside a running job: hot swap, roll back, a broken champion, a challenger in the shadow; and its
training data: what the job logged while it ran is what the same `sql/` says of the same events afterwards, read again
from the topic, and replayed from a file by `usher train --from events.ndjson`."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness import Sender, job, profile, records
from waiting import until

from usher.model import Registry, config, history, label, log, train
from usher.model._trained import Trained
from usher.model.reference import iso_of
from usher.simulator import simulate_log
from usher.stack import Stack

USERS = 12
SWAP_S = 5
"""A new champion answers within so long."""
PLACE = {"ip": "91.10.20.30", "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148"}
KINDS: tuple[dict[str, Any], ...] = (
    {"type": "page"},
    {"type": "track", "event": "Feature Used", "properties": {"feature": "reports"}},
    {"type": "track", "event": "Content Clicked", "properties": {"content_id": "welcome_default"}},
)


def three_models() -> list[Trained]:
    policy = config.load()
    lenient = dataclasses.replace(
        policy,
        gate=dataclasses.replace(policy.gate, min_holdout_rows=100, roc_auc_gain_min=-1, r2_gain_min=-1, r2_min=-1),
    )
    examples = label(simulate_log(350, seed=1), policy.training.horizon_ms, policy.training.min_uses)
    shorter = [examples[: int(len(examples) * share)] for share in (1, 0.9, 0.8)]
    return [train(part, lenient, 1, ("linear",)) for part in shorter]


class Visits:
    """Everybody does something, again and again; those with an odd number say from where."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.number = sender, 0

    def send(self) -> None:
        self.number += 1
        for user in range(USERS):
            place = {"context": PLACE} if user % 2 else {}
            self.one(f"{user}-{self.number}", {"userId": f"u-{user}"} | place | KINDS[(user + self.number) % 3])

    def one(self, number: str, message: dict[str, Any]) -> None:
        now = time.time_ns() // 1_000_000
        self.sender.message({"messageId": number, "timestamp": iso_of(now)} | message, now)


def decisions(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(value or b"") for value, _ in records(stack, "decisions")]


def features(documents: list[dict[str, Any]]) -> pd.DataFrame:
    """What was known of those who have one id, in one order."""
    rows = log.rows_of(documents)[[*log.FEATURES]]
    return rows[rows["user_id"].str.startswith("u-")].sort_values([*log.KEYS], ignore_index=True)


def merged(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What was known of Zoe in the end.

    Reading history, a row of hers can come before it is said who else she is (docs/identity.md, "Limits").
    """
    rows = log.rows_of(documents)
    last = rows[rows["user_id"] == "zoe"].sort_values("updated_at").iloc[-1]
    return last[[*log.FEATURES, "anonymous_ids"]].drop("updated_at").to_dict()


def test_a_model_is_swapped_under_a_running_job_and_its_log_is_what_batch_says(
    fresh: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = three_models()
    registry = Registry(tmp_path / "model")
    registry.promote(registry.add(first), "the first")
    registry.add(second)
    registry.add(third)
    sender = Sender(fresh)
    visits = Visits(sender)

    def served(version: str) -> bool:
        """Whether a new event of user 0 is answered by that version."""
        visits.send()
        return bool(profile(fresh, "u-0").get("model_version") == version)

    def taken_up(version: str) -> None:
        """Whoever comes `SWAP_S` after a switch is answered by the new champion."""
        switched = time.monotonic()
        while time.monotonic() < switched + SWAP_S:
            visits.send()
            time.sleep(0.5)  # the pace of the visits, not a wait for the job
        visits.send()
        until(lambda: profile(fresh, "u-0")["events_total"] == visits.number, 60, f"an answer by {version}", running)
        assert profile(fresh, "u-0")["model_version"] == version

    # Without catching up, on a slow machine too: a row that waits for others of its user is not one of a live job.
    with job(fresh, tmp_path, model_dir=str(registry.directory), catch_up_s="0") as running:
        visits.send()
        visits.one("web-1", {"anonymousId": "zoe-web"} | KINDS[1])
        until(lambda: profile(fresh, "u-0"), 240, "the first model's answers", running)  # the job is still starting
        until(lambda: profile(fresh, "zoe-web"), 60, "the visitor", running)
        registry.promote(second.version, "better")
        taken_up(second.version)
        registry.rollback("not so good after all")
        taken_up(first.version)
        registry.promote(second.version, "good after all")
        taken_up(second.version)
        (registry.path(first.version) / "model.onnx").unlink()
        (registry.directory / "champion").write_text(first.version)  # broken, and by hand
        (registry.directory / "challenger").write_text(second.version)
        until(lambda: served(second.version) and decisions(fresh)[-1]["challenger"], 60, "the shadow", running)
        visits.one("zoe-1", {"type": "identify", "userId": "zoe", "anonymousId": "zoe-web", "context": PLACE})
        until(lambda: profile(fresh, "zoe").get("anonymous_ids"), 60, "the merge", running)
        visits.one("zoe-2", {"userId": "zoe"} | KINDS[1])
        visits.send()
        sent = visits.number
        counted = lambda: all(profile(fresh, f"u-{u}").get("events_total") == sent for u in range(USERS))  # noqa: E731
        until(counted, 60, "the last profiles", running)
        until(lambda: profile(fresh, "zoe")["events_total"] == 3, 60, "what the visitor did", running)
        running.kill()
    sender.close()

    logged = decisions(fresh)
    assert {row["model_version"] for row in logged} == {first.version, second.version}
    shadow = [json.loads(row["challenger"]) for row in logged if row["challenger"]]
    assert shadow and {said["model_version"] for said in shadow} == {second.version}
    same = [(row, json.loads(row["challenger"])) for row in logged if row["challenger"]]
    assert all(row["preferences"] == said["preferences"] for row, said in same)  # here both are the same model
    assert "challenger" not in profile(fresh, "u-0") and len(profile(fresh, "u-0")["interests"]) == 3

    live, zoe = features(logged), merged(logged)
    assert len(live) > USERS * 3
    assert {*zip(live["device_type"], live["country"], strict=True)} == {("other", ""), ("mobile", "DE")}
    assert (zoe["anonymous_ids"], zoe["used_reports"], zoe["country"]) == (("zoe-web",), 2, "DE")

    registry.promote(third.version, "to tell the two logs apart")
    with job(fresh, tmp_path, "--bounded", "--json", model_dir=str(registry.directory), catch_up_s="0") as running:
        running.counts(240)
    batch = [row for row in decisions(fresh) if row["model_version"] == third.version]
    pd.testing.assert_frame_equal(features(batch), live)
    assert merged(batch) == zoe

    events = sorted((value or b"" for value, _ in records(fresh, "events")), key=lambda e: json.loads(e)["timestamp"])
    (tmp_path / "events.ndjson").write_bytes(b"\n".join(events) + b"\n")
    assert history.is_events(tmp_path / "events.ndjson")
    monkeypatch.setenv("USHER_MODEL_DIR", str(registry.directory))
    replayed = history.replayed(tmp_path / "events.ndjson")
    pd.testing.assert_frame_equal(features(replayed), live)
    assert merged(replayed) == zoe
