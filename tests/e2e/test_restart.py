"""The job's machine dies, or Kafka's, or Python alone: nothing is lost, nothing counts twice."""

import os
import signal
import time
from pathlib import Path

from harness import USERS, Sender, Visits, expected, found, job, place, profile, profiles, records, visit
from waiting import until

from usher.bench.memory import processes
from usher.run import counts
from usher.settings import load
from usher.stack import Stack

VERDICTS = ("accepted", "duplicate", "late", "quarantined")


def completed(checkpoints: Path) -> list[Path]:
    """The completed checkpoints, oldest first."""
    found = checkpoints.glob("*/chk-*/_metadata")
    return sorted((file.parent for file in found), key=lambda chk: int(chk.name.removeprefix("chk-")))


def test_a_killed_job_goes_on_from_its_checkpoint(fresh: Stack, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    options = {"checkpoint_dir": checkpoints.as_uri(), "checkpoint_interval_s": "2"}
    settings = load() | {"kafka": fresh.kafka, "elasticsearch": fresh.elasticsearch}
    sender = Sender(fresh)
    visits = Visits(sender)

    with job(fresh, tmp_path, **options) as running:
        # a lone event on an otherwise silent topic: no other follows, and yet time moves on
        visits.sent["lone"] = [
            (now := time.time_ns() // 1_000_000, visit(0, 0) | {"userId": "lone", "messageId": "lone"})
        ]
        place(sender.message(visits.sent["lone"][0][1], now))
        until(lambda: profile(fresh, "lone"), 120, "the lone visitor's profile", running)
        visits.send(range(6))
        until(lambda: visits.shown(fresh), 60, "the first profiles", running)
        before = completed(checkpoints)[-1:]  # the newest alone is kept
        until(lambda: completed(checkpoints)[-1:] not in ([], before), 60, "a checkpoint", running)
        visits.send(range(6, 9))  # in some profiles, in no checkpoint
        running.kill()

    visits.send(range(9, 12))
    again = [(m, time.time_ns() // 1_000_000) for sent in visits.sent.values() for _, m in sent[:8:3]]
    for message, now in again:
        sender.message(message, now)
    with job(fresh, tmp_path, **options, restore_from=completed(checkpoints)[-1].as_uri()) as running:
        until(lambda: visits.shown(fresh), 120, "the profiles after the restart", running)
        visits.send(range(12, 15))
        until(lambda: visits.shown(fresh), 60, "the last profiles", running)
        old = visit(99, 0)
        where = place(sender.message(old, time.time_ns() // 1_000_000 - 600_000))
        sent = sum(map(len, visits.sent.values()))
        until(lambda: sum((c := counts(settings))[v] for v in VERDICTS) >= c["read"], 60, "the counts", running)
        total = counts(settings)
        sender.close()

    assert total == {
        "read": sent + len(again) + 1, "accepted": sent, "duplicate": len(again), "late": 1, "quarantined": 0,
        "profiles": USERS + 1,
    }  # fmt: skip
    ((_, headers),) = records(fresh, "events_late")
    assert (int(headers["source_partition"]), int(headers["source_offset"])) == where
    documents = profiles(fresh)
    assert {user: found(documents[user]) for user in visits.sent} == {
        user: expected(timed, silent=False) for user, timed in visits.sent.items()
    }


def test_what_comes_when_kafka_is_back_counts(fresh: Stack, tmp_path: Path) -> None:
    """While the broker is away the clock carries time on, and the source finds the broker later than producers do."""
    settings = load() | {"kafka": fresh.kafka, "elasticsearch": fresh.elasticsearch}
    sender = Sender(fresh)
    visits = Visits(sender)
    with job(fresh, tmp_path) as running:
        visits.send(range(3))
        until(lambda: visits.shown(fresh), 120, "the first profiles", running)
        sender.close()
        os.kill(fresh.status()["kafka"]["pid"], signal.SIGKILL)
        fresh.up()
        assert fresh.kafka == settings["kafka"], "the broker is back where it was"
        visits.sender = sender = Sender(fresh)
        visits.send(range(3, 6))
        # a producer held it back for as long as the broker was away
        held, sent_at = visit(0, 6), time.time_ns() // 1_000_000 - 30_000
        visits.sent["user-0"].append((sent_at, held))
        place(sender.message(held, sent_at))
        sent = sum(map(len, visits.sent.values()))
        until(lambda: counts(settings)["accepted"] >= sent, 60, "the counts", running)
        until(lambda: visits.shown(fresh), 60, "the last profiles", running)
        total = counts(settings)
        sender.close()
        documents = profiles(fresh)

    assert total == {
        "read": sent, "accepted": sent, "duplicate": 0, "late": 0, "quarantined": 0, "profiles": USERS
    }  # fmt: skip
    assert {user: documents[user]["events_total"] for user in visits.sent} == {
        user: len(timed) for user, timed in visits.sent.items()
    }


def python_workers(group: int) -> list[int]:
    """Those of the job, not the Python that submitted it."""
    return [pid for pid in processes(group) if b"beam_boot" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_python_worker_that_dies_costs_nothing(fresh: Stack, tmp_path: Path) -> None:
    """As when the kernel kills it for want of memory: Flink restarts the job from what it last knew."""
    settings = load() | {"kafka": fresh.kafka, "elasticsearch": fresh.elasticsearch}
    sender = Sender(fresh)
    visits = Visits(sender)
    with job(fresh, tmp_path, checkpoint_interval_s="2") as running:
        visits.send(range(3))
        until(lambda: visits.shown(fresh), 120, "the first profiles", running)
        workers = python_workers(running.process.pid)
        assert len(workers) == 2  # one for each subtask
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        visits.send(range(3, 6))
        until(lambda: visits.shown(fresh), 120, "the last profiles", running)
        until(lambda: counts(settings)["accepted"] >= counts(settings)["read"], 60, "the counts", running)
        total = counts(settings)
        sender.close()

    sent = sum(map(len, visits.sent.values()))
    assert total == {
        "read": sent, "accepted": sent, "duplicate": 0, "late": 0, "quarantined": 0, "profiles": USERS
    }  # fmt: skip
    documents = profiles(fresh)
    assert {user: found(documents[user]) for user in visits.sent} == {
        user: expected(timed, silent=False) for user, timed in visits.sent.items()
    }
