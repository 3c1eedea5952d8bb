"""A running job: a click changes what is shown, and so do newly published rules, without a restart."""

import time
from pathlib import Path
from typing import Any

from harness import Sender, job, profile
from waiting import until

from usher.model.reference import iso_of
from usher.rules.publish import publish, rollback
from usher.stack import Stack

FRESH_S = 10
"""Above the job's freshness (p95 3 s, measured by `usher bench freshness`) by what a busy machine may take."""
CONTENT = """
content:
  first: {text: {en: Hello}, fallback: en}
  clicked: {text: {en: You clicked}, fallback: en}
  enough: {text: {en: You saw it twice}, fallback: en}
  agreed: {text: {en: Thank you}, fallback: en}
"""
RULES = """
slots: [next_step]
rules:
  - id: agreed
    slot: next_step
    priority: 30
    when: {consent.advertising: true}
    content: agreed
  - id: clicked
    slot: next_step
    priority: 20
    when: {did: {event: Content Clicked, content: first, within: 1h}}
    content: clicked
    cap: {times: 2, within: 24h}
  - {id: rest, slot: next_step, content: first}
"""


def conf(folder: Path, rules: str) -> Path:
    for part, text in (("rules", rules), ("content", CONTENT)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "all.yaml").write_text(text)
    return folder


class Ann:
    """One user, whose every message is sent now."""

    def __init__(self, stack: Stack, sender: Sender) -> None:
        self.stack, self.sender, self.sent = stack, sender, 0

    def does(self, event: str, content: str = "first", **context: Any) -> None:
        now = time.time_ns() // 1_000_000
        message = {"messageId": f"ann-{self.sent}", "type": "track", "event": event, "userId": "ann"}
        message |= {"timestamp": iso_of(now), "properties": {"content_id": content}, "context": context}
        self.sender.message(message, now)
        self.sent += 1

    def sees(self, content: str) -> bool:
        found = profile(self.stack, "ann").get("decisions", {}).get("next_step", {})
        return bool(found.get("content") == content)


def test_a_click_a_cap_consent_and_a_new_bundle_each_show_another_content(fresh: Stack, tmp_path: Path) -> None:
    login = {"bootstrap_servers": [fresh.kafka]}
    first = publish(login, conf(tmp_path / "conf", RULES))
    sender = Sender(fresh)
    ann = Ann(fresh, sender)
    with job(fresh, tmp_path) as running:
        ann.does("Content Shown")
        until(lambda: ann.sees("first"), 120, "the first content", running)
        ann.does("Content Clicked")
        until(lambda: ann.sees("clicked"), FRESH_S, "what follows a click", running)
        for _ in range(2):
            ann.does("Content Shown", "clicked")
        until(lambda: ann.sees("first"), FRESH_S, "the cap to hold it back", running)
        ann.does("Content Shown", consent={"categoryPreferences": {"advertising": True}})
        until(lambda: ann.sees("agreed"), FRESH_S, "what consent opens", running)

        conf(tmp_path / "conf", RULES.replace("content: agreed", "content: enough"))
        second = publish(login, tmp_path / "conf")
        ann.does("Content Shown")
        until(lambda: ann.sees("enough"), FRESH_S, "the new rules", running)
        assert profile(fresh, "ann")["rules_version"] == second.version
        rollback(login, first.version)
        ann.does("Content Shown")
        until(lambda: ann.sees("agreed"), FRESH_S, "the old rules again", running)
        assert profile(fresh, "ann")["rules_version"] == first.version
    sender.close()
