"""A model's life beside a running job: hot swap, a broken champion, a challenger in the shadow; and its training data:
what the job logged while it ran is what the same `sql/` says of the same events afterwards."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from harness import Sender, job, profile, records
from waiting import until

from usher.model import Registry, config, label, log, train
from usher.model._trained import Trained
from usher.model.reference import iso_of
from usher.simulator import simulate_log
from usher.stack import Stack

USERS = 12
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
    """Everybody does something, again and again."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.number = sender, 0

    def send(self) -> None:
        self.number += 1
        for user in range(USERS):
            now = time.time_ns() // 1_000_000
            message = {"messageId": f"{user}-{self.number}", "userId": f"u-{user}", "timestamp": iso_of(now)}
            self.sender.message(message | KINDS[(user + self.number) % 3], now)


def decisions(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(value or b"") for value, _ in records(stack, "decisions")]


def features(documents: list[dict[str, Any]]) -> pd.DataFrame:
    """What was known, in one order."""
    rows = log.rows_of(documents)[[*log.FEATURES]]
    return rows.sort_values([*log.KEYS], ignore_index=True)


def test_a_model_is_swapped_under_a_running_job_and_its_log_is_what_batch_says(fresh: Stack, tmp_path: Path) -> None:
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

    with job(fresh, tmp_path, model_dir=str(registry.directory)) as running:
        visits.send()
        until(lambda: profile(fresh, "u-0"), 240, "the first model's answers", running)  # the job is still starting
        registry.promote(second.version, "better")
        until(lambda: served(second.version), 20, "the second model's answers", running)
        (registry.path(first.version) / "model.onnx").unlink()
        (registry.directory / "champion").write_text(first.version)  # broken, and by hand
        (registry.directory / "challenger").write_text(second.version)
        until(lambda: served(second.version) and decisions(fresh)[-1]["challenger"], 20, "the shadow", running)
        visits.send()
        sent = visits.number
        counted = lambda: all(profile(fresh, f"u-{u}").get("events_total") == sent for u in range(USERS))  # noqa: E731
        until(counted, 60, "the last profiles", running)
        running.kill()
    sender.close()

    logged = decisions(fresh)
    assert {row["model_version"] for row in logged} == {first.version, second.version}
    shadow = [json.loads(row["challenger"]) for row in logged if row["challenger"]]
    assert shadow and {said["model_version"] for said in shadow} == {second.version}
    same = [(row, json.loads(row["challenger"])) for row in logged if row["challenger"]]
    assert all(row["preferences"] == said["preferences"] for row, said in same)  # here both are the same model
    assert "challenger" not in profile(fresh, "u-0") and len(profile(fresh, "u-0")["interests"]) == 3

    registry.promote(third.version, "to tell the two logs apart")
    with job(fresh, tmp_path, "--bounded", "--json", model_dir=str(registry.directory)) as running:
        running.counts(240)
    batch = features([row for row in decisions(fresh) if row["model_version"] == third.version])
    live = features(logged)
    assert len(live) > USERS * 3
    pd.testing.assert_frame_equal(batch, live)
