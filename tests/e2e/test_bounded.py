"""A whole history at once, with everything that goes wrong in it: nothing is lost, nothing counts twice."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness import Message, Sender, Timed, expected, found, ingested, job, place, profiles, records

from usher.model.reference import iso_of, millis_of
from usher.profile import read
from usher.simulator import simulate
from usher.stack import Stack

HOUR = 3_600_000
DEEP = b"[" * 5000 + b"]" * 5000


def message(number: int, time: int, **fields: Any) -> Message:
    """A message that is well in order but for `fields`; None removes one."""
    whole = {
        "messageId": f"own-{number}",
        "type": "page",
        "userId": f"own-{number}",
        "timestamp": iso_of(time),
    } | fields
    return {name: value for name, value in whole.items() if value is not None}


def poison(time: int) -> list[tuple[str, bytes | None]]:
    """Records that must be refused, with the code they must be refused with."""
    own = [
        ("missing_message_id", message(1, time, messageId=None)),
        ("missing_message_id", message(2, time, messageId="")),
        ("missing_user", message(3, time, userId=None)),
        ("wrong_type", message(4, time, userId=42)),
        ("wrong_type", message(5, time, properties=[1])),
        ("wrong_type", message(6, time, context="here")),
        ("wrong_type", message(7, time, timestamp=time)),
        ("unknown_type", message(8, time, type="purchase")),
        ("missing_event", message(9, time, type="track")),
        ("too_long", message(10, time, userId="u" * 600)),
        ("invalid_timestamp", message(11, time, timestamp="yesterday")),
        ("timestamp_out_of_range", message(12, time, timestamp="1970-01-01T00:00:00Z")),
        ("timestamp_out_of_range", message(13, time, timestamp="9999-12-31T23:59:59Z")),
        ("too_large", message(14, time, properties={"text": "x" * 900_000})),
    ]
    nested = b'{"messageId":"n","type":"page","userId":"n","properties":{"a":' + DEEP + b"}}"
    return [
        ("empty", None),
        ("empty", b""),
        ("invalid_json", b"\xff\xfe\x00\x80garbage"),
        ("invalid_json", b'{"messageId": "cut of'),
        ("invalid_json", json.dumps(message(15, time)).encode() + b"{}"),
        ("invalid_json", nested),
        ("not_an_object", b"[1, 2]"),
        ("not_an_object", b"null"),
        *((code, json.dumps(value).encode()) for code, value in own),
    ]


def leavers(sender: Sender, now: int) -> int:
    """One who refuses under the id they got later, and one who is erased and replayed: how many records that takes."""
    visits = [("no", "no-web", True), ("no", "no-web", False), ("gone", "gone-web", True)]
    for number, (user, device, agreed) in enumerate(visits):
        ids = {"userId": user, "anonymousId": device}
        said = {"consent": {"categoryPreferences": {"personalization": agreed}}}
        sender.message(message(300 + number, now, **ids | {"userId": None}, context=said), now)
        sender.message(message(310 + number, now, type="identify", **ids, context=said), now)
    place(sender.erase("gone", now))
    place(sender.message(message(320, now - 1000, userId="gone"), now + 1))
    return 2 * len(visits) + 2


def test_every_record_has_one_verdict_and_every_profile_is_exact(fresh: Stack, tmp_path: Path) -> None:
    start = datetime.now(UTC) - timedelta(days=10)
    history = [m | {"sentAt": None} for m in simulate(60, 5, start, timedelta(days=3))]
    sender = Sender(fresh)
    sent: dict[tuple[int, int], Timed] = {}
    behind: dict[tuple[int, int], bytes] = {}
    refused: dict[tuple[int, int], tuple[str, bytes | None]] = {}
    duplicates = 0
    pending = [(millis_of(m["timestamp"]), m, sender.message(m)) for m in history]
    duplicate = [
        sender.message(m, pending[-1][0])
        for m in history[-200:]
        if pending[-1][0] - millis_of(m["timestamp"]) < HOUR / 2
    ]
    duplicates += len(duplicate)
    newest = pending[-1][0]
    for number, (code, value) in enumerate(poison(newest)):
        refused[place(sender.send(newest, value, b"poison", number % 2))] = code, value
    # hours behind; a run that reads ahead of its watermark may still take some of them, but then they must count
    for number in range(40):
        belated = message(100 + number, newest - (2 + number) * HOUR)
        at = place(sender.message(belated))
        sent[at], behind[at] = (newest - (2 + number) * HOUR, belated), json.dumps(belated).encode()
    now = int(datetime.now(UTC).timestamp() * 1000)
    for number, minutes in enumerate((45, 40, 20, 5, 1)):  # one who is still here
        last = message(200 + number, now - minutes * 60_000, userId="still-here")
        pending.append((now - minutes * 60_000, last, sender.message(last)))
    sent |= {place(future): (time, m) for time, m, future in pending}
    unprofiled = leavers(sender, now)
    sender.close()

    with job(fresh, tmp_path, "--bounded", "--json") as running:
        counts = running.counts(240)

    late = {(int(h["source_partition"]), int(h["source_offset"])): (v, h) for v, h in records(fresh, "events_late")}
    accepted = {at: timed for at, timed in sent.items() if at not in late}
    assert set(late) <= set(behind)
    assert all(value == behind[at] and headers["error_code"] == "late" for at, (value, headers) in late.items())
    assert all(headers["reason"] for _, headers in late.values())
    users: dict[str, list[Timed]] = defaultdict(list)
    owners = {m["anonymousId"]: m["userId"] for _, m in accepted.values() if m["type"] == "identify"}
    for time, m in accepted.values():
        users[m.get("userId") or owners.get(m["anonymousId"], m["anonymousId"])].append((time, m))
    assert set(profiles(fresh)) == set(users)
    assert counts == {
        "read": len(sent) + duplicates + len(refused) + unprofiled,
        "accepted": len(accepted) + unprofiled,
        "duplicate": duplicates,
        "late": len(late),
        "quarantined": len(refused),
        "profiles": len(users),
    }
    assert duplicates and late

    quarantined = records(fresh, "events_quarantined")
    assert len(quarantined) == len(refused)
    for value, headers in quarantined:
        at = int(headers["source_partition"]), int(headers["source_offset"])
        assert (headers["error_code"], value) == refused[at]
        assert headers["reason"]

    documents = profiles(fresh)
    assert set(documents) == set(users)
    wrong = {}
    for user, timed in users.items():
        right, seen = expected(timed, silent=user != "still-here"), found(documents[user])
        if right != seen:
            wrong[user] = {name: (right[name], seen[name]) for name in right if right[name] != seen[name]}
    assert not wrong
    assert documents["still-here"]["events_30m"] == 3

    assert len(owners) > 30
    for anonymous, owner in owners.items():
        assert documents[owner]["anonymous_ids"] == [anonymous]
        assert read(fresh.elasticsearch, anonymous) == read(fresh.elasticsearch, owner)
    codes = {code: n for (verdict, code), n in ingested(fresh).items() if verdict == "accepted"}
    assert codes == {"": len(accepted) + unprofiled - 3, "no_consent": 2, "erasure": 1}
    assert not [user for user in ("no", "no-web", "gone", "gone-web") if read(fresh.elasticsearch, user)]
