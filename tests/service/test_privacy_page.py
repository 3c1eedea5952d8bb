"""docs/privacy.md names tests as proof; they are there."""

import re

from usher.settings import ROOT

PAGE = (ROOT / "docs" / "privacy.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    """`test_file.py::test_name` is in that file, `test_name` in some, `test_file.py` is one."""
    files = {file.name: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(?:(test_\w+\.py)(?:::)?)?(test_\w+)?`", PAGE)
    named = [(file, name) for file, name in named if file or name]
    assert len(named) > 25
    for file, name in named:
        assert not file or file in files, file
        texts = [files[file]] if file else [*files.values()]
        assert not name or any(f"def {name}(" in text for text in texts), f"{file}::{name}"


def test_every_duty_has_a_proof() -> None:
    rows = [row.split("|")[1:-1] for row in PAGE.splitlines() if row.startswith("|")]
    duties = rows[2 : next(at for at, row in enumerate(rows) if row[0].strip() == "store")]
    assert len(duties) > 15
    for duty, _, proof in duties:
        assert "`" in proof, duty
