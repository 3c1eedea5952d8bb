"""Who belongs together, who refuses and who is erased: what `sql/05_features.sql` leaves in the index of profiles."""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stages import Stages

from usher.features import LIFETIME_COUNTERS
from usher.model.reference import iso_of, millis_of, profile_of

DAY = datetime(2025, 1, 31, 9, tzinfo=UTC)
TIMES = ("first_seen", "last_seen")
COLUMNS = [*LIFETIME_COUNTERS, "sessions_total", "active_ms", *TIMES, "feature_counts", "anonymous_ids"]

Given = list[dict[str, Any]]
Documents = dict[str, dict[str, Any]]


class Story:
    """Messages a second apart, in the order they arrive; each has an id of its own."""

    def __init__(self) -> None:
        self.given: Given = []

    def tell(self, kind: str, user: str | None = None, anonymous: str | None = None, **fields: Any) -> None:
        """A message of now, but for what `fields` say; a user's name is `userId`."""
        now = self.now()
        message = {"messageId": f"m{len(self.given)}", "type": kind, "userId": user, "anonymousId": anonymous}
        agreed = fields.pop("agreed", None)
        if agreed is not None:
            message["context"] = {"consent": {"categoryPreferences": {"personalization": agreed}}}
        self.given.append({"record_time": now, "message": {**message, "timestamp": now, **fields}})

    def erase(self, user: str) -> None:
        """The record by which somebody is erased."""
        wish = {"userId": user, "requestedAt": self.now()}
        self.given.append({"record_time": self.now(), "control": "erase", "message": wish})

    def now(self) -> str:
        """The time of the next message."""
        return iso_of(round((DAY + timedelta(seconds=10 * len(self.given))).timestamp() * 1000))


def documents(stages: Stages) -> Documents:
    """The index after all writes, as Elasticsearch keeps it: the greatest version; a deletion also takes its equal."""
    columns = ", ".join(f"CAST({name} AS STRING) AS {name}" for name in COLUMNS)
    nothing = ", ".join("CAST(NULL AS STRING)" for _ in COLUMNS)
    writes = stages.collect(
        ["user_key", "version", *COLUMNS],
        f"""SELECT user_key, 1000 * UNIX_TIMESTAMP(CAST(rowtime AS STRING), 'yyyy-MM-dd HH:mm:ss.SSS')
                + EXTRACT(MILLISECOND FROM rowtime) AS version, {columns} FROM features
            UNION ALL SELECT user_id, version, {nothing} FROM departed""",
    )
    index: Documents = {}
    for user, _, *values in sorted(writes, key=lambda write: (int(str(write[1])), write[2] is None)):
        index[str(user)] = dict(zip(COLUMNS, values, strict=True)) if values[0] is not None else {}
    return {user: document for user, document in index.items() if document}


def told() -> Given:
    """Several people, each with names of their own; what becomes of them is in the tests below."""
    story = Story()
    tell = story.tell
    # ann: anonymous on a phone, then known, married later, and her phone still says the old id
    tell("page", anonymous="ann-phone")
    tell("track", event="Feature Used", properties={"feature": "reports"}, anonymous="ann-phone")
    tell("identify", "ann", "ann-phone")
    tell("page", anonymous="ann-phone")
    tell("alias", "ann-smith", previousId="ann")
    tell("track", "ann", event="Feature Used", properties={"feature": "reports"})
    tell("identify", "ann", "ann-phone")  # said again, changes nothing
    # bob: his identify comes before anything that he did on that device
    tell("identify", "bob", "bob-web")
    tell("page", anonymous="bob-web")
    tell("page", "bob", "bob-web")
    # a shared device belongs to who claimed it first, by their clock, not by the order of arrival
    tell("page", anonymous="kiosk")
    tell("identify", "second", "kiosk")
    tell("page", anonymous="kiosk")
    tell("identify", "first", "kiosk", timestamp=iso_of(millis_of(story.now()) - 3_600_000))
    tell("page", "second")
    # a circle: who came first leads
    tell("page", "round")
    tell("alias", "about", previousId="round")
    tell("alias", "round", previousId="about")
    # eve refuses on one device: nothing is left of any
    tell("page", anonymous="eve-web", agreed=True)
    tell("identify", "eve", "eve-web", agreed=True)
    tell("page", "eve", agreed=False)
    tell("page", anonymous="eve-web")  # says nothing of consent: what was said stands
    tell("page", "eve", agreed=True, timestamp=iso_of(millis_of(story.now()) - 3_600_000))  # said before
    # joe refuses and thinks better of it: he starts anew
    tell("page", "joe")
    tell("page", "joe", agreed=False)
    tell("page", "joe")
    tell("page", "joe", agreed=True)
    tell("page", "joe")
    # zoe is erased, and all that she did is replayed
    before = len(story.given)
    tell("page", anonymous="zoe-web")
    tell("identify", "zoe", "zoe-web")
    tell("page", "zoe")
    story.erase("zoe")
    for old in [row["message"] for row in story.given[before : before + 3]]:
        again = {"messageId": f"{old['messageId']}-again", "timestamp": old["timestamp"]}
        tell(old["type"], old["userId"], old["anonymousId"], **again)
    tell("page", anonymous="zoe-web")  # and comes again as somebody new
    story.erase("nobody")
    return story.given


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    return documents(Stages(told(), tmp_path_factory.mktemp("told") / "given.json"))


def test_a_chain_of_ids_is_one_profile_with_all_they_did(index: Documents) -> None:
    assert not {"ann", "ann-phone"} & set(index)
    ann = index["ann-smith"]
    assert (ann["events_total"], ann["pages_viewed"], ann["features_used"]) == ("7", "2", "2")
    assert ann["feature_counts"] == "{reports=2}"
    assert ann["anonymous_ids"] == "[ann, ann-phone]"
    assert (ann["sessions_total"], ann["active_ms"]) == ("1", "60000")


def test_an_identify_may_come_first(index: Documents) -> None:
    assert "bob-web" not in index
    assert (index["bob"]["events_total"], index["bob"]["anonymous_ids"]) == ("3", "[bob-web]")


def test_a_shared_device_belongs_to_who_claimed_it_first(index: Documents) -> None:
    assert "kiosk" not in index
    assert (index["first"]["events_total"], index["first"]["anonymous_ids"]) == ("3", "[kiosk]")
    assert (index["second"]["events_total"], index["second"]["anonymous_ids"]) == ("2", "[]")


def test_a_circle_is_cut_where_it_would_close(index: Documents) -> None:
    assert "round" not in index
    assert (index["about"]["events_total"], index["about"]["anonymous_ids"]) == ("3", "[round]")


def test_who_refuses_has_no_profile_under_any_id(index: Documents) -> None:
    assert not {"eve", "eve-web"} & set(index)


def test_who_agrees_again_starts_anew(index: Documents) -> None:
    assert index["joe"]["events_total"] == "2"


def test_who_is_erased_stays_erased_when_the_past_is_replayed(index: Documents) -> None:
    assert "zoe" not in index and "nobody" not in index
    # in a history that is read at once, the wish may reach a device after what was done there later: that goes, too
    assert index.get("zoe-web", {"events_total": "1"})["events_total"] == "1"


def owners(links: list[tuple[int, str, str]]) -> dict[str, str]:
    """Where each id leads in the end: the earliest link of each id counts."""
    leads: dict[str, str] = {}
    for _, source, target in sorted(links):
        leads.setdefault(source, target)
    ends = {}
    for source in leads:
        end = source
        while end in leads:
            end = leads[end]
        ends[source] = end
    return ends


@pytest.mark.parametrize("seed", [1, 2])
def test_random_people_equal_plain_arithmetic(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    story = Story()
    links = []
    for _ in range(250):
        user, device = chance.randrange(12), f"d{chance.randrange(20)}"
        early = iso_of(millis_of(story.now()) - chance.choice([0, 0, 600_000, 7_200_000]))
        kind = chance.choice(["page", "page", "track", "anonymous", "anonymous", "identify", "alias"])
        if kind == "anonymous":
            story.tell("page", anonymous=device)
        elif kind == "track":
            story.tell("track", f"u{user}", device, event="Feature Used", properties={"feature": f"f{user % 3}"})
        elif kind == "identify":
            story.tell("identify", f"u{user}", device, timestamp=early)
            links.append((millis_of(early), device, f"u{user}"))
        elif kind == "alias" and user < 11 and chance.random() < 0.5:  # to a greater number, so never in a circle
            story.tell("alias", f"u{user + 1}", previousId=f"u{user}", timestamp=early)
            links.append((millis_of(early), f"u{user}", f"u{user + 1}"))
        else:
            story.tell("page", f"u{user}", device)
    ends = owners(links)
    did: dict[str, Given] = defaultdict(list)
    for row in story.given:
        key = row["message"]["userId"] or row["message"]["anonymousId"]
        did[ends.get(key, key)].append(row)
    found = documents(Stages(story.given, tmp_path / "given.json"))
    assert set(found) == set(did)
    for user, rows in did.items():
        right = profile_of([row["message"] for row in rows], [millis_of(row["record_time"]) for row in rows])
        counted = [name for name in COLUMNS if name in right and name not in TIMES]
        assert {name: found[user][name] for name in counted} == {name: str(right[name]) for name in counted}, user
        assert millis_of(str(found[user]["first_seen"])) == millis_of(right["first_seen"])
        ids = sorted(source for source, end in ends.items() if end == user)
        assert json.dumps(found[user]["anonymous_ids"]) == json.dumps(f"[{', '.join(ids)}]")
    assert sum(len(rows) > 20 for rows in did.values()) > 1, "some people have many ids"
