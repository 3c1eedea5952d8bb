"""Loading: the shipped rules keep their promises, and bad files get sentences with file, line and remedy."""

import json
import tracemalloc
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from usher.rules import Bundle, Rule, RulesError
from usher.rules.cli import app
from usher.rules.conditions import Leaf
from usher.rules.parse import texts
from usher.rules.problems import Problem
from usher.rules.prove import prove
from usher.rules.sarif import sarif
from usher.rules.schema import build

CONF = Path(__file__).parents[2] / "conf"
CONTENT = "content: {hello: {text: {en: Hello, de: Hallo}, fallback: en}}"


def load(tmp_path: Path, rules: str, content: str = CONTENT) -> Bundle:
    for part, text in (("rules", rules), ("content", content)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.yaml").write_text(text)
    return Bundle.load(tmp_path)


def when(tmp_path: Path, condition: str) -> Bundle:
    return load(tmp_path, f"rules:\n- id: r\n  slot: next_step\n  content: hello\n  when: {condition}\n")


def test_shipped_rules_pass_their_examples_and_the_schema() -> None:
    bundle = Bundle.load(CONF)
    for rule in bundle.rules.values():
        assert rule.examples, f"{rule.id} has no examples"
        for example in rule.examples:
            assert bundle.decide_one(example.user)[rule.slot].content_id == example.expect
    for path in (CONF / "rules").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), build())


def test_europe_and_mobile() -> None:
    got = Bundle.load(CONF).decide_one({"continent": "EU", "device_type": "mobile"})["welcome_message"]
    assert (got.content_id, got.reason) == ("europe_mobile_welcome", "TARGETING_MATCH")


def test_published_schema_is_the_one_of_the_code() -> None:
    assert json.loads((CONF / "rules.schema.json").read_text()) == build()


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("{contry: DE}", "'contry' is not a field of the profile. Remedy: write 'country'?"),
        ("{country: XX}", "'country' is never 'XX'"),
        ("{continent: {ne: Eurpe}}", "'continent' is never 'Eurpe'"),
        ("{sessions_total: many}", "'sessions_total' is a whole number, not 'many'"),
        ("{sessions_total: -1}", "'sessions_total' is never -1"),
        ("{sessions_total: {starts_with: a}}", "'starts_with' does not apply"),
        ("{sessions_total: {between: [3, 1]}}", "no number is between 3 and 1"),
        ("{engagement_score: {ge: 101}}", "'engagement_score' is never 101"),
        ("{country: de}", "'country' is never 'de'. Remedy: write 'DE'?"),
        ("{language: German}", "`language` needs one code of two or three small letters, not 'German'. Remedy: write"),
        ("{language: DE}", "Remedy: write `language: de`; for a region"),
        (
            "{did: {event: Content Clicked, content: helo, within: 7d}}",
            "'helo' is not a content. Remedy: write 'hello'?",
        ),
        ("{is_bot: 1}", "'is_bot' is true or false"),
        ("{location: Atlantis}", "'Atlantis' is not a place known by name"),
        ("{did: {feature: analitics}}", "'analitics' is not a feature. Remedy: write 'analytics'?"),
        ("{prefers: {feature: analytics, at_least: 2}}", "'preferences.analytics' is never 2"),
        ("{city: [a, &x b]}", "Anchors (&) and aliases (*) are not accepted"),
        ("{all: []}", "`all` needs a list of conditions"),
        ("[" * 100, "nested deeper than 30"),
        ("{city: a, city: b}", "written twice"),
        ("{city: [}", "This is not YAML"),
    ],
)
def test_bad_conditions_are_refused(tmp_path: Path, condition: str, says: str) -> None:
    with pytest.raises(RulesError) as caught:
        when(tmp_path, condition)
    assert says in str(caught.value)
    assert "rules/a.yaml:5: " in str(caught.value)


LATELY = "Feature Used|analytics"


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("{country: Germany}", "has country 'Germany', which no profile has. Remedy: write the code DE."),
        ("{continent: Europe}", "Remedy: write the code EU."),
        ("{device_type: tv}", "has device_type 'tv', which no profile has. Remedy: use one of desktop, mobile"),
        ("{sessions_total: -5}", "has sessions_total -5, which no profile has. Remedy: use a value from 0"),
        ("{sessions_total: 2.5}", "has sessions_total 2.5, which no profile has. Remedy: write a whole number."),
        ("{preferences: {analytics: 1.5}}", "Remedy: use a value from 0 to 1."),
        ("{preferences: 7}", "has preferences 7, which is not a mapping"),
        ("{feature_counts: {analitics: 1}}", "'feature_counts.analitics', which is not a field"),
        ("{user_id: 5}", "has the user_id 5, which is not a text. Remedy: put it in quotes."),
        ("{recent: 5}", "has a `recent` that is no mapping"),
        (f'{{recent: {{"{LATELY}": often}}}}', f"has 'often' of '{LATELY}' in `recent`, which is no count"),
        (f'{{recent: {{"{LATELY}": {{2d: many}}}}}}', "which is no count. Remedy: write `recent:"),
        (f'{{recent: {{"{LATELY}": {{99y: 1}}}}}}', "which is no count"),
        (f'{{recent: {{"{LATELY}": [[1]]}}}}', "which is no count"),
        ('{recent: {"Feature used|analytics": 1}}', "not counted by the hour. Remedy: write 'Feature Used'?"),
        ('{recent: {"Feature Used|analitics": 1}}', "which does not exist. Remedy: write 'analytics'?"),
        ('{recent: {"Content Shown|helo": 1}}', "which does not exist. Remedy: write 'hello'?"),
        ('{recent: {"Signed Up|x": 1}}', "Remedy: drop what is after the `|`."),
    ],
)
def test_examples_that_would_say_nothing_are_refused(tmp_path: Path, user: str, says: str) -> None:
    with pytest.raises(RulesError) as caught:
        example(tmp_path, user)
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1
    assert "rules/a.yaml:6: Rule 'r': its example has " in str(caught.value)


def example(tmp_path: Path, user: str) -> Bundle:
    rule = "- id: r\n  slot: next_step\n  content: hello\n  examples:\n  "
    return load(tmp_path, f"rules:\n{rule}- {{user: {user}, expect: hello}}\n")


def test_examples_may_be_empty_unknown_and_dated(tmp_path: Path) -> None:
    lately = '{"Feature Used|analytics": {2d: 1}, "Content Shown|hello": 3, "Signed Up": [[497123, 1]]}'
    maps = "feature_counts: {}, preferences: {}, consent: {ads: true}, country: null"
    bundle = example(tmp_path, f'{{{maps}, user_id: "5", recent: {lately}}}, at: 2026-12-01')
    assert bundle.rules["r"].examples[0].at_ms == 1_796_083_200_000


def test_files_that_are_not_read_are_named_and_an_editors_lock_is_none(tmp_path: Path) -> None:
    load(tmp_path, f"rules:\n{ONE}")
    (tmp_path / "rules" / ".#a.yaml").symlink_to("/nonexistent")
    assert list(Bundle.load(tmp_path).rules) == ["r"]
    assert list(texts(tmp_path)) == ["content/a.yaml", "rules/a.yaml"]
    (tmp_path / "rules" / "b.yaml").symlink_to("/nonexistent")
    (tmp_path / "rules" / "c.yml").write_text("rules: []")
    with pytest.raises(RulesError) as caught:
        Bundle.load(tmp_path)
    assert [f"{problem.file}: {problem.remedy}" for problem in caught.value.problems] == [
        "rules/b.yaml: check its path and permissions.",
        "rules/c.yml: rename it to c.yaml.",
    ]


def test_sarif_names_files_from_the_repository_and_places_every_finding() -> None:
    rule = Rule("r", "next_step", 1, Leaf("country", "eq", "DE"), "a", file="rules/a.yaml", line=7)
    findings = prove(Bundle([rule], {}, ["next_step", "banner"]))
    results = sarif([], findings, CONF)["runs"][0]["results"]
    places = [result["locations"][0]["physicalLocation"] for result in results]
    found = [(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in places]
    assert found == [("conf/rules/a.yaml", 7), ("conf/rules", 1)]
    (elsewhere,) = sarif([Problem("rules/a b.yaml", 3, "Bad.", "Mend it.")], [], Path("/srv"))["runs"][0]["results"]
    assert elsewhere["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "/srv/rules/a%20b.yaml"


def test_all_problems_at_once(tmp_path: Path) -> None:
    rules = "rules:\n- {id: a, slot: x, content: nope}\n- {id: a, slot: next_step, content: hello, start: soon}\n- 7\n"
    with pytest.raises(RulesError) as caught:
        load(tmp_path, rules)
    assert [problem.line for problem in caught.value.problems] == [2, 2, 3, 3, 4]


def test_norway_is_not_false(tmp_path: Path) -> None:
    assert when(tmp_path, "{country: NO}").decide_one({"country": "NO"})["next_step"].content_id == "hello"


def test_text_by_locale_language_and_fallback(tmp_path: Path) -> None:
    bundle = when(tmp_path, "{language: de}")
    assert [bundle.text("hello", locale) for locale in ("de", "de-AT", "fr", None)] == [
        "Hallo",
        "Hallo",
        "Hello",
        "Hello",
    ]


ONE = "- {id: r, slot: next_step, content: hello}\n"
LAUGHS = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{f'*{last}, ' * 9}]\n" for last, name in zip("abcd", "bcde", strict=True)
)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("rules:\n" + ONE * 240_000, "rules:1: The files have 10,320,007 bytes, more than 4,000,000."),
        ("rules:\n" + ONE * 40_000, "rules/a.yaml:1: The file is larger than 1,000,000 bytes."),
        ("rules:\n" + ONE * 10_000, "rules:1: There are 10,000 rules, more than 2,000."),
        ("rules: &a\n- *a\n", "rules/a.yaml:1: Anchors (&) and aliases (*) are not accepted."),
        (LAUGHS, "rules/a.yaml:1: Anchors (&) and aliases (*) are not accepted."),
        ("rules: " + "[" * 400_000, "rules/a.yaml:1: The file is nested deeper than 30 levels."),
        ("? " * 400_000, "rules/a.yaml:1: The file is nested deeper than 30 levels."),
        (f"rules:\n- {{id: r, when: {{any: [{'{city: a},' * 20_000}]}}}}", "asks more than 200 questions."),
        ("rules:\n" + ONE * 2, "rules/a.yaml:3: Rule 'r' is declared twice, first at rules/a.yaml:2."),
    ],
)
def test_what_would_take_long_is_refused_in_little_memory(tmp_path: Path, rules: str, says: str) -> None:
    tracemalloc.start()
    with pytest.raises(RulesError) as caught:
        load(tmp_path, rules)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert says in str(caught.value)
    assert peak < 100 * 2**20
    assert len(str(caught.value)) < 20_000


def test_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    good = run(app, ["check", "--dir", str(CONF), "--json"])
    assert (good.exit_code, json.loads(good.stdout)["findings"]) == (0, [])
    assert "| welcome_europe_mobile |" in run(app, ["matrix", "--dir", str(CONF)]).stdout
    user = '{"continent": "EU", "device_type": "desktop"}'
    assert "device_type = mobile: is desktop" in run(app, ["explain", user, "--dir", str(CONF)]).stdout
    dated = ["explain", user, "--slot", "next_step", "--at", "2026-12-01", "--json"]
    assert json.loads(run(app, dated).stdout)["next_step"][-1]["outcome"] == "taken"
    assert run(app, ["explain", user, "--at", "soon"]).exit_code == 2
    with pytest.raises(RulesError):
        when(tmp_path, "{contry: DE}")
    assert run(app, ["check", "--dir", str(tmp_path)]).exit_code == 1
