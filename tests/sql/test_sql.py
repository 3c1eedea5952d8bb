"""Each stage of `sql/` has a YAML file here: the records that are given, the rows that are expected of a view."""

from pathlib import Path

import pytest
import yaml
from stages import Stages

FILES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_stage(file: Path, tmp_path: Path) -> None:
    case = yaml.load(file.read_text(), yaml.BaseLoader)  # all scalars as text, times too
    columns = list(case["expect"][0])
    without = ("routes",) if case.get("ids") == "alone" else ()
    expected = sorted((tuple(text(row[column]) for column in columns) for row in case["expect"]), key=repr)
    stages = Stages(case["given"], tmp_path / "given.json", without, case.get("allowed_lateness_s", "0"))
    assert stages.collect(columns, case["view"]) == expected


def text(value: str) -> str | None:
    return None if value == "null" else value
