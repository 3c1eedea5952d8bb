"""The SQL that is submitted: `sql/` with the settings filled in."""

from jobs.personalize import statements
from usher.settings import load


def test_a_quote_mark_in_a_setting_stays_in_its_text() -> None:
    settings = load(
        {"USHER_GROUP_ID": "bob's job", "USHER_DEAD_LETTERS": "/tmp/bob's", "USHER_CONSENT_CATEGORY": "it's"}
    )
    text = "\n".join(statements(settings, bounded=False))
    assert "'properties.group.id' = 'bob''s job'" in text
    assert "'sink.dead-letter.path' = '/tmp/bob''s'" in text
    assert "TABLE events, 'it''s', 'opt_out'," in text
    assert "bob's" not in text.replace("bob''s", "") and text.count("'") % 2 == 0
