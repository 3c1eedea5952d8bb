"""docs/cluster.md and docs/runbook.md, typed into a real standalone Flink with one JobManager and two TaskManagers.

One long story, because each start of a cluster costs half a minute: submit on one subtask, stop with a savepoint, go on
with changed rules, an output column more and two subtasks, requeue, replay, replace the job, roll back to the former
rules, stop again, go on in application mode. Every counter is compared with plain Python's at the end.
"""

import json
import re
import shutil
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from harness import USERS, Sender, Visits, expected, found, place, profile, profiles
from typed import Shell, block, is_sentence
from waiting import until

from usher.cluster import LocalCluster
from usher.dist import dist
from usher.model.reference import iso_of
from usher.run import counts
from usher.settings import ROOT, load
from usher.stack import Stack

START_S = 300  # a job with workers of its own was seen to need 145 s on a slow machine
BAD = b'{"messageId": "bad", "type": "purchase", "userId": "user-0"}'
RULE = """
rules:
  - id: welcome_after_upgrade
    slot: welcome_message
    priority: 1000
    content: default_welcome
    owner: platform
    examples:
      - {user: {}, expect: default_welcome}
"""


OPERATOR = "flink_taskmanager_job_task_operator_"
COUNTED = (
    *("usher_accepted", "usher_code_quarantined", "usher_rule_decisions", "usher_predictMicrosPerRow"),
    *("usher_documentsWritten", 'usher_freshnessMs{quantile="0.99"}'),
    *("flink_jobmanager_numRunningJobs", "flink_jobmanager_job_numberOfCompletedCheckpoints"),
)
"""Of the metrics in docs/cluster.md those that cannot be 0 when users have come and one message was refused."""


def scraped(cluster: LocalCluster) -> dict[str, float]:
    """What Prometheus sees: the sum of each metric over all pages, and of each quantile."""
    found: dict[str, float] = {}
    for process in ("jobmanager", "taskmanager-0", "taskmanager-1"):
        (port,) = re.findall(r"Started PrometheusReporter HTTP server on port (\d+)", cluster.log(process))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            text = page.read().decode()
        for name, labels, value in re.findall(r"^(flink_\w+)(\{.*\})? (\S+)$", text, re.MULTILINE):
            quantile = re.search(r'quantile="[^"]+"', labels)
            for key in {name, f"{name}{{{quantile[0]}}}" if quantile else name}:
                found[key] = found.get(key, 0) + (float(value) if value != "NaN" else 0)
    return found


def documented() -> set[str]:
    """The names of the metrics that docs/cluster.md tells of, as its tables have them."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    told = re.findall(r"`([^`]+)`", page.partition("## Seeing it run")[2])
    return {name for text in told for name in re.findall(r"\b(?:usher|flink)_[a-z]\w+(?:\{[^}]+\})?", text)} - {
        "flink_taskmanager_job_task_operator_"
    }


def full(name: str) -> str:
    return name if name.startswith("flink_") else OPERATOR + name


class Leavers:
    """Two who have no profile of their own in the end: one who becomes somebody known, and one who is erased."""

    known, gone = "known", ("anonymous", "erased")
    records = 4

    def __init__(self, sender: Sender, stack: Stack) -> None:
        self._sender, self._stack = sender, stack

    def come_and_go(self) -> None:
        for person in self.gone:
            self._tell(person, "page", anonymousId=person)
        until(lambda: all(self.profile(person) for person in self.gone), 120, "the profiles of those who will leave")
        self._tell("identified", "identify", userId=self.known, anonymousId="anonymous")
        place(self._sender.erase("erased", time.time_ns() // 1_000_000))
        until(self.have_left, 60, "those who left to be gone")

    def have_left(self) -> bool:
        return self.profile(self.known).get("events_total") == 2 and not any(map(self.profile, self.gone))

    def profile(self, person: str) -> dict[str, Any]:
        return profile(self._stack, person)

    def _tell(self, message_id: str, kind: str, **who: str) -> None:
        now = time.time_ns() // 1_000_000
        message = {"messageId": message_id, "type": kind, "timestamp": iso_of(now)}
        place(self._sender.message(message | who, now))


def upgraded(shipped: Path, out: Path) -> Path:
    """The same with a rule that goes before all others and a column more in each profile."""
    shutil.copytree(shipped / "usher", out / "usher")
    for name in ("python.zip", "usher-connectors.jar"):
        (out / name).symlink_to(shipped / name)
    (out / "usher/conf/rules/upgrade.yaml").write_text(RULE)
    mapping = out / "usher/conf/elasticsearch/profiles.json"
    mapping.write_text(
        mapping.read_text().replace('"properties": {', '"properties": {"per_session": {"type": "long"},', 1)
    )
    for file in (out / "usher/sql").glob("*.sql"):
        text = file.read_text()
        column = ",\n    events_total / sessions_total AS per_session"
        text = text.replace("\nFROM answered AS", f"{column}\nFROM answered AS")
        text = text.replace("PRIMARY KEY (user_id)", "per_session BIGINT,\n    PRIMARY KEY (user_id)")
        text = text.replace("\n)\nSELECT * FROM profile", ", per_session\n)\nSELECT * FROM profile")
        text = text.replace("anonymous_ids\n)\nSELECT\n", "anonymous_ids, per_session\n)\nSELECT\n")
        file.write_text(text.replace("anonymous_ids\nFROM profile;", "anonymous_ids, per_session\nFROM profile;"))
    return out


def test_submit_upgrade_rescale_and_application_mode(fresh: Stack, tmp_path: Path) -> None:
    shipped = ROOT / "build" / "dist"
    dist(shipped)
    settings = load() | {"kafka": fresh.kafka, "elasticsearch": fresh.elasticsearch}
    own = {
        "USHER_KAFKA": fresh.kafka,
        "USHER_ELASTICSEARCH": fresh.elasticsearch,
        "USHER_CHECKPOINT_DIR": (tmp_path / "checkpoints").as_uri(),
        "USHER_DEAD_LETTERS": str(tmp_path / "dead-letters"),
        "USHER_PARALLELISM": "1",
        "USHER_CATCH_UP_S": "0",  # each change is written, also by a replay: those who leave are there before
        "SAVEPOINTS": (tmp_path / "savepoints").as_uri(),
    }
    sender = Sender(fresh)
    visits, leavers = Visits(sender), Leavers(sender, fresh)

    with LocalCluster(tmp_path / "session", slots=2) as cluster:
        path = f"{cluster.environment['PATH']}:{Path(sys.executable).parent}"
        where = {"PATH": path, "DIST": str(shipped), "USHER_FLINK": cluster.rest.address}
        shell = Shell(**own | cluster.environment | where | {"SINCE": "2026-01-01T00:00:00Z"})
        assert "All is there" in shell.run(block("cluster.md", "check"))
        shell.run(block("cluster.md", "submit"))
        visits.send(range(4))
        sender.send(time.time_ns() // 1_000_000, BAD, b"user-0")
        until(lambda: visits.shown(fresh), START_S, "the profiles of the first job")
        until(lambda: counts(settings)["quarantined"] == 1, 30, "the quarantined record")
        leavers.come_and_go()
        until(lambda: all(scraped(cluster).get(full(name)) for name in COUNTED), 30, "metrics of what was done")
        seen = scraped(cluster)
        shell.run(block("runbook.md", "stop"))
        before = {name: shell.variables[name] for name in ("DIST", "SAVEPOINT")}
        visits.send(range(4, 8))  # while nothing runs

        new = upgraded(shipped, tmp_path / "dist")
        shell.variables |= {"DIST": str(new), "PYTHONPATH": str(new / "usher"), "USHER_PARALLELISM": "2"}
        assert "profiles.per_session" in shell.run(block("runbook.md", "upgrade"))
        shell.run(block("cluster.md", "submit"))
        visits.send(range(8, 10))
        until(lambda: visits.shown(fresh), START_S, "the profiles of the upgraded job")
        upgraded_documents = profiles(fresh)
        job = cluster.rest.get(f"/jobs/{cluster.rest.jobs()[-1]['jid']}")
        assert {vertex["parallelism"] for vertex in job["vertices"]} == {2}
        assert "0 records sent again" in shell.run("usher requeue --code invalid_json")
        assert "1 records sent again" in shell.run(block("runbook.md", "requeue"))
        until(lambda: counts(settings)["quarantined"] == 2, 60, "the record to be refused again")
        shell.run(block("runbook.md", "replay"))
        assert leavers.have_left()
        assert {user: found(document) for user, document in profiles(fresh).items() if user in visits.sent} == {
            user: found(upgraded_documents[user]) for user in visits.sent
        }
        assert "profiles points to profiles-v1, no longer to profiles-v2" in shell.run(block("runbook.md", "go back"))
        shell.run("usher index switch profiles-v2")
        status = json.loads(shell.run(block("runbook.md", "status")))["job"]

        unknown = {"USHER_REPLACES": "0" * 32, "USHER_SAVEPOINT_DIR": own["SAVEPOINTS"], "SAVEPOINT": ""}
        told = shell.refused(block("cluster.md", "submit"), **unknown)
        assert f"runs no job {'0' * 32}" in told and is_sentence(told)
        shell.run(block("runbook.md", "replace"))
        assert str(tmp_path / "savepoints") in shell.variables["SAVEPOINT"]
        assert [job["state"] for job in cluster.rest.jobs() if job["jid"] == shell.variables["JOB"]] == ["FINISHED"]
        visits.send(range(10, 11))
        until(lambda: visits.shown(fresh), START_S, "the profiles of the job that replaced the other")
        shell.run(block("runbook.md", "stop"))

        shell.variables |= before
        shell.run(block("cluster.md", "submit"))
        visits.send(range(11, 12))
        until(lambda: visits.shown(fresh), START_S, "the profiles of the job that was rolled back")
        rolled_back = profiles(fresh)
        shell.run(block("runbook.md", "stop"))
        savepoint = shell.variables["SAVEPOINT"]

    assert {name for name in documented() if full(name) not in seen} == set()
    assert status["state"] == "RUNNING" and status["quarantined_by_code"] == {"unknown_type": 1}
    assert status["accepted"] == 6 * USERS and status["documentsWritten"] > 0 and status["deadLetters"] == 0
    assert set(status["decisions_by_rule"]) >= {"welcome_after_upgrade"} and status["freshness_ms"]["p99"] > 0
    assert status["predict_micros_per_row"] > 0
    with Elasticsearch(fresh.elasticsearch) as client:
        assert list(client.indices.get_alias(name="profiles")) == ["profiles-v2"]
    for document in (upgraded_documents[user] for user in visits.sent):
        assert document["decisions"]["welcome_message"]["rule"] == "welcome_after_upgrade"
        assert document["per_session"] == document["events_total"] // document["sessions_total"]

    for document in (rolled_back[user] for user in visits.sent):
        assert document["decisions"]["welcome_message"]["rule"] != "welcome_after_upgrade"

    visits.send(range(12, 13))
    variables = own | {"DIST": str(tmp_path / "dist"), "SAVEPOINT": savepoint, "USHER_PARALLELISM": "2"}
    with LocalCluster(tmp_path / "application", application=block("cluster.md", "application"), variables=variables):
        visits.send(range(13, 15))
        until(lambda: visits.shown(fresh), START_S, "the profiles in application mode")
        total = sum(map(len, visits.sent.values())) + leavers.records
        until(lambda: counts(settings)["accepted"] >= total, 30, "the counts")
    sender.close()

    assert counts(settings) == {
        "read": total + 2, "accepted": total, "duplicate": 0, "late": 0, "quarantined": 2,
        "profiles": len(visits.sent) + 1,
    }  # fmt: skip
    assert leavers.have_left()
    assert not [file for file in (tmp_path / "dead-letters").glob("*") if file.stat().st_size]
    documents = profiles(fresh)
    assert {user: found(documents[user]) for user in visits.sent} == {
        user: expected(timed, silent=False) for user, timed in visits.sent.items()
    }
