"""Rules to YAML, to a spreadsheet and back say the same; the renderings show every rule."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from usher.rules import Bundle, Rule, RulesError
from usher.rules.cli import app
from usher.rules.conditions import EVERYONE, All, Condition, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.matrix import html, markdown
from usher.rules.model import Cap, Group
from usher.rules.schema import build
from usher.rules.spreadsheet import from_csv, to_csv
from usher.rules.write import to_yaml

sys.path.insert(0, str(Path(__file__).parent))
from reference import leaf

CONF = Path(__file__).parents[2] / "conf"
SCHEMA = jsonschema.Draft202012Validator(build())
CONTENT = "content:\n  a: {text: {en: A}, fallback: en}\n  b: {text: {en: B}, fallback: en}\n"
ODD = [
    "NO",
    "true",
    "12",
    "1.5",
    "= 1",
    "a | b",
    "1 .. 2",
    "known",
    ' "x"',
    "starts with",
    "ü ",
    "null",
    "~",
    "-",
    "a: b",
]


def written(found: Leaf) -> bool:
    """Whether YAML can say it: no empty texts, and of the last hours only "at least"."""
    if found.field.startswith("recent."):
        return found.op == "ge" and found.value != 0
    return "" not in (found.value if isinstance(found.value, tuple) else (found.value,))


def ordered(found: Leaf) -> Leaf:
    """As the reader has it: the values of `in` in order, and of one value `eq`."""
    if found.op != "in" or not isinstance(found.value, tuple):
        return found
    values = tuple(sorted(set(found.value), key=str))
    return Leaf(found.field, "in", values) if len(values) > 1 else Leaf(found.field, "eq", values[0])


leaves = st.one_of(
    leaf().filter(written).map(ordered),
    st.builds(Leaf, st.just("city"), st.sampled_from(["eq", "ne", "contains"]), st.sampled_from(ODD)),
    st.builds(
        Leaf, st.just("city"), st.just("in"), st.permutations(ODD).map(lambda odd: tuple(sorted(odd[:3], key=str)))
    ),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
moments = st.one_of(st.none(), st.integers(0, 4_000_000_000_000))


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        start, end = draw(moments), draw(moments)
        start, end = (end, start) if start is not None and end is not None and start >= end else (start, end)
        found.append(
            Rule(
                f"r{number}",
                draw(st.sampled_from(["next_step", "welcome_message"])),
                draw(st.integers(0, 1000)),
                draw(st.one_of(st.just(EVERYONE), conditions)),
                draw(st.sampled_from("ab")),
                start,
                end if end != start else None,
                draw(st.sampled_from([100.0, 0.0, 12.5, 0.01])),
                draw(st.sampled_from([None, Cap(3, 168), Cap(1, 5)])),
                draw(st.sampled_from([None, Group("g", 0.0, 33.3)])),
                draw(st.sampled_from(["", "growth", "=SUM(A1)", '"x"', "Ünal, Team 1"])),
            )
        )
    return found


def loaded(text: str) -> Bundle:
    return Bundle.load({"rules/a.yaml": text, "content/a.yaml": CONTENT})


@settings(max_examples=150, deadline=None)
@given(rules())
def test_yaml_and_csv_say_the_same_rules(tmp_path_factory: pytest.TempPathFactory, written: list[Rule]) -> None:
    SCHEMA.validate(yaml.safe_load(to_yaml(written)))
    again = loaded(to_yaml(written))
    assert again.rules == {rule.id: rule for rule in written}
    folder = tmp_path_factory.getbasetemp() / "csv"
    (folder / "content").mkdir(parents=True, exist_ok=True)
    (folder / "content" / "a.yaml").write_text(CONTENT)
    (folder / "m.csv").write_text(to_csv(again), "utf-8", newline="")
    assert loaded(from_csv(folder / "m.csv", folder)).version == again.version


def test_the_shipped_matrix_comes_back_with_its_examples(tmp_path: Path) -> None:
    bundle = Bundle.load(CONF)
    (tmp_path / "m.csv").write_text("\ufeff" + to_csv(bundle).replace("growth", "team"), "utf-8", newline="")
    files = {"rules/m.yaml": from_csv(tmp_path / "m.csv", CONF)}
    files |= {f"content/{path.name}": path.read_text() for path in (CONF / "content").glob("*.yaml")}
    again = Bundle.load(files)
    assert {rule.owner for rule in again.rules.values()} == {"team"}
    assert [rule.examples for rule in again.rules.values()] == [rule.examples for rule in bundle.rules.values()]


def test_a_sheet_as_a_marketer_writes_it(tmp_path: Path) -> None:
    sheet = "slot;id;country;sessions_total;city;content\nnext_step;x;Germany | FR;1 .. 3;starts with Ber;step_resume\n"
    (tmp_path / "m.csv").write_text(sheet)
    files = {"rules/m.yaml": from_csv(tmp_path / "m.csv", CONF)}
    files |= {f"content/{path.name}": path.read_text() for path in (CONF / "content").glob("*.yaml")}
    bundle = Bundle.load(files)
    assert str(bundle.rules["x"].when) == "country in DE, FR and 1 ≤ sessions_total ≤ 3 and city starts with Ber"


@pytest.mark.parametrize(
    ("cell", "means"),
    [
        ("Known", "city is known"),
        ("UNKNOWN", "city is unknown"),
        ("Contains Ber", "city contains Ber"),
        ('Starts With "Ber"', "city starts with Ber"),
        ("Containstown", "city = Containstown"),
        ('"Known"', "city = Known"),
        ("Bonn,,,", "city = Bonn"),
    ],
)
def test_capitals_and_trailing_commas_do_not_matter(tmp_path: Path, cell: str, means: str) -> None:
    quoted = cell if cell.endswith(",") else '"' + cell.replace('"', '""') + '"'
    (tmp_path / "m.csv").write_text(f" slot,id ,content,city\nnext_step,x,step_resume,{quoted}\n")
    files = {"rules/m.yaml": from_csv(tmp_path / "m.csv", CONF)}
    files |= {f"content/{path.name}": path.read_text() for path in (CONF / "content").glob("*.yaml")}
    assert str(Bundle.load(files).rules["x"].when) == means


def test_what_no_sheet_holds_is_noted(tmp_path: Path) -> None:
    for part, text in (
        ("content", CONTENT),
        ("rules", "slots: [banner]\nholdout: {percent: 5}\nrules:\n- {id: r, slot: banner, content: a}\n"),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.yaml").write_text(text)
    sheet = CliRunner().invoke(app, ["matrix", "--format", "csv", "--dir", str(tmp_path)])
    assert sheet.stderr.endswith("beside them: slots: [banner] and holdout: {percent: 5, seed: holdout}.\n")
    assert sheet.stdout.startswith("slot,"), "the sheet itself is as it was"
    assert CliRunner().invoke(app, ["matrix", "--format", "csv"]).stderr == "", "nothing is left out"


@pytest.mark.parametrize(
    ("sheet", "says"),
    [
        ("slot,id,content,contry\n", "m.csv:1: The columns 'contry' are not fields"),
        ("slot,id\n", "m.csv:1: There is no column content."),
        (
            "slot,id,content,sessions_total\nnext_step,x,step_resume,many\n",
            "m.csv:2: Rule 'x': 'sessions_total' is a whole",
        ),
        (
            "slot,id,content,priority\nnext_step,x,step_resume,9999\n",
            "m.csv:2: Rule 'x': priority 9999 is not 0 to 1000",
        ),
        ("slot,id,content,when\nnext_step,x,step_resume,{\n", "m.csv:2: The cell of `when` is not JSON"),
        ("slot,id,content\nnext_step,x,nothing\n", "m.csv:2: Rule 'x': content 'nothing' is shown but does not exist"),
        ("slot,id,content,owner\nnext_step,x,step_resume," + "o" * 140_000, "m.csv:2: This is not CSV: field larger"),
        ('slot,id,content,city\nnext_step,x,step_resume,"Ber\n', "m.csv:2: This is not CSV: unexpected end of data"),
        ('slot,id,content,when,city\nnext_step,x,step_resume,"[1]",Bonn\n', "m.csv:2: Rule 'x': a condition must be a"),
        (
            "slot,id,content,city\nnext_step,x,step_resume,Bonn,Ulm\n",
            "m.csv:2: The line has 5 cells, but the first line",
        ),
        ("slot,id,content,city,city\nnext_step,x,step_resume,Ulm,Bonn\n", "m.csv:1: The columns 'city' are there more"),
        (
            'slot,id,content,when,city\nnext_step,x,step_resume,"{""city"": ""Ulm""}",Bonn\n',
            "m.csv:2: The column `city` and the column `when` both ask about 'city'",
        ),
        ("slot,id,content\nnext_step,Welcome-EU,step_resume\n", "m.csv:2: The id 'Welcome-EU' has other characters"),
        ("slot,id,content\nnext_step,,step_resume\n", "m.csv:2: The rule has no id."),
        ("slot,id,content,city\nnext_step,x,step_resume,!= Ulm | Bonn\n", "m.csv:2: Rule 'x': "),
    ],
)
def test_a_bad_sheet_is_refused_with_its_line(tmp_path: Path, sheet: str, says: str) -> None:
    (tmp_path / "m.csv").write_text(sheet)
    with pytest.raises(RulesError) as caught:
        from_csv(tmp_path / "m.csv", CONF)
    assert says in str(caught.value)


def test_renderings_show_every_rule_and_run_nothing() -> None:
    rule = Rule("r", "next_step", 1, Leaf("city", "eq", "<script>|=1"), "a", rollout=5.0, cap=Cap(3, 168), owner="=1+1")
    bundle = loaded(to_yaml([rule]))
    assert "| 1 | r | city = <script>\\|=1 | a | always | 5 % of users, 3 times in 7d | =1+1 |" in markdown(bundle)
    page = html(bundle)
    assert "<script>" not in page and "&lt;script&gt;" in page and "5 % of users, 3 times in 7d" in page
    cells = next(csv.reader(io.StringIO(to_csv(bundle).split("\n", 1)[1])))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    shipped = Bundle.load(CONF)
    assert all(name in html(shipped) and name in markdown(shipped) for name in shipped.rules)


def test_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    sheet = run(app, ["matrix", "--format", "csv"])
    (tmp_path / "m.csv").write_text(sheet.stdout, "utf-8")
    done = run(app, ["import", str(tmp_path / "m.csv"), "--to", str(tmp_path / "m.yaml")])
    assert done.exit_code == 0 and "is written" in done.stdout
    assert "id: welcome_europe_mobile" in (tmp_path / "m.yaml").read_text()
    assert run(app, ["import", str(tmp_path / "none.csv")]).exit_code == 1
    assert run(app, ["matrix", "--format", "html"]).stdout.startswith("<!doctype html>")


def test_sarif_names_file_line_and_witness(tmp_path: Path) -> None:
    for part, text in (
        ("content", CONTENT),
        ("rules", "rules:\n- id: r\n  slot: next_step\n  content: a\n  when: {country: DE}\n"),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.yaml").write_text(text)
    told: dict[str, Any] = json.loads(CliRunner().invoke(app, ["check", "--dir", str(tmp_path), "--sarif"]).stdout)
    results = told["runs"][0]["results"]
    assert [(one["ruleId"], one["level"]) for one in results] == [("gap", "error")] * 3
    assert "Witness: {" in results[0]["message"]["text"]
    (tmp_path / "rules" / "a.yaml").write_text("rules:\n- id: r\n  slot: x\n  content: a\n")
    told = json.loads(CliRunner().invoke(app, ["check", "--dir", str(tmp_path), "--sarif"]).stdout)
    (place,) = told["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": f"{tmp_path.resolve()}/rules/a.yaml"},
        "region": {"startLine": 3},
    }
