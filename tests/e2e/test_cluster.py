"""docs/cluster.md and docs/runbook.md, typed into a real standalone Flink with one JobManager and two TaskManagers.

One long story, because each start of a cluster costs half a minute: submit on one subtask, stop with a savepoint, go on
with changed rules, an output column more and two subtasks, requeue, replay, roll back to the former rules, stop again,
go on in application mode. Every counter is compared with plain Python's at the end.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from elasticsearch import Elasticsearch
from harness import USERS, Sender, Visits, expected, found, profiles
from waiting import until

from usher.cluster import LocalCluster
from usher.dist import dist
from usher.run import counts
from usher.settings import ROOT, load
from usher.stack import Stack

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


def block(page: str, title: str) -> str:
    """The commands of a page under docs/ that begin with the comment `# title`."""
    text = (ROOT / "docs" / page).read_text()
    (commands,) = re.findall(rf"```sh\n# {title}\n(.*?)```", text, re.DOTALL)
    return str(commands)


class Shell:
    """A platform engineer's shell: what one block of commands sets, the next one knows."""

    def __init__(self, **variables: str) -> None:
        self.variables = variables

    def run(self, commands: str) -> str:
        script = f'set -euo pipefail\n{commands}\nprintf \'\\n%s\\n%s\' "${{JOB:-}}" "${{SAVEPOINT:-}}"'
        bare = {"HOME": os.environ["HOME"]}
        done = subprocess.run(
            ["bash", "-c", script], env=bare | self.variables, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        output, self.variables["JOB"], self.variables["SAVEPOINT"] = done.stdout.rsplit("\n", 2)
        return output.strip()


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
        "SAVEPOINTS": (tmp_path / "savepoints").as_uri(),
    }
    sender = Sender(fresh)
    visits = Visits(sender)

    with LocalCluster(tmp_path / "session", slots=2) as cluster:
        path = f"{cluster.environment['PATH']}:{Path(sys.executable).parent}"
        where = {"PATH": path, "DIST": str(shipped), "USHER_FLINK": cluster.rest.address}
        shell = Shell(**own | cluster.environment | where | {"SINCE": "2026-01-01T00:00:00Z"})
        assert "All is there" in shell.run(block("cluster.md", "check"))
        shell.run(block("cluster.md", "submit"))
        visits.send(range(4))
        sender.send(time.time_ns() // 1_000_000, BAD, b"user-0")
        until(lambda: visits.shown(fresh), 120, "the profiles of the first job")
        until(lambda: counts(settings)["quarantined"] == 1, 30, "the quarantined record")
        shell.run(block("runbook.md", "stop"))
        before = {name: shell.variables[name] for name in ("DIST", "SAVEPOINT")}
        visits.send(range(4, 8))  # while nothing runs

        new = upgraded(shipped, tmp_path / "dist")
        shell.variables |= {"DIST": str(new), "PYTHONPATH": str(new / "usher"), "USHER_PARALLELISM": "2"}
        assert "profiles.per_session" in shell.run(block("runbook.md", "upgrade"))
        shell.run(block("cluster.md", "submit"))
        visits.send(range(8, 10))
        until(lambda: visits.shown(fresh), 120, "the profiles of the upgraded job")
        upgraded_documents = profiles(fresh)
        job = cluster.rest.get(f"/jobs/{cluster.rest.jobs()[-1]['jid']}")
        assert {vertex["parallelism"] for vertex in job["vertices"]} == {2}
        assert "1 records sent again" in shell.run(block("runbook.md", "requeue"))
        until(lambda: counts(settings)["quarantined"] == 2, 60, "the record to be refused again")
        shell.run(block("runbook.md", "replay"))
        status = json.loads(shell.run(block("runbook.md", "status")))["job"]
        shell.run(block("runbook.md", "stop"))

        shell.variables |= before
        shell.run(block("cluster.md", "submit"))
        visits.send(range(10, 11))
        until(lambda: visits.shown(fresh), 120, "the profiles of the job that was rolled back")
        rolled_back = profiles(fresh)
        shell.run(block("runbook.md", "stop"))
        savepoint = shell.variables["SAVEPOINT"]

    assert status["state"] == "RUNNING" and status["quarantined_by_code"] == {"unknown_type": 1}
    assert status["accepted"] == 6 * USERS and status["documentsWritten"] > 0 and status["deadLetters"] == 0
    assert set(status["decisions_by_rule"]) >= {"welcome_after_upgrade"} and status["freshness_ms"]["p99"] > 0
    with Elasticsearch(fresh.elasticsearch) as client:
        assert list(client.indices.get_alias(name="profiles")) == ["profiles-v2"]
    for document in upgraded_documents.values():
        assert document["decisions"]["welcome_message"]["rule"] == "welcome_after_upgrade"
        assert document["per_session"] == document["events_total"] // document["sessions_total"]

    for document in rolled_back.values():
        assert document["decisions"]["welcome_message"]["rule"] != "welcome_after_upgrade"

    visits.send(range(11, 12))
    variables = own | {"DIST": str(tmp_path / "dist"), "SAVEPOINT": savepoint, "USHER_PARALLELISM": "2"}
    with LocalCluster(tmp_path / "application", application=block("cluster.md", "application"), variables=variables):
        visits.send(range(12, 14))
        until(lambda: visits.shown(fresh), 120, "the profiles in application mode")
        total = sum(map(len, visits.sent.values()))
        until(lambda: counts(settings)["accepted"] >= total, 30, "the counts")
    sender.close()

    assert counts(settings) == {
        "read": total + 2, "accepted": total, "duplicate": 0, "late": 0, "quarantined": 2, "profiles": len(visits.sent),
    }  # fmt: skip
    assert not [file for file in (tmp_path / "dead-letters").glob("*") if file.stat().st_size]
    documents = profiles(fresh)
    assert {user: found(documents[user]) for user in visits.sent} == {
        user: expected(timed, silent=False) for user, timed in visits.sent.items()
    }
