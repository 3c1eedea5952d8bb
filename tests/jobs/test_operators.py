"""Uids say what an operator is, not where it stands in the plan."""

from typing import Any

import pytest

from jobs.operators import name_operators, python_call, uid_of


@pytest.mark.parametrize(
    ("kind", "name", "description", "uid"),
    [
        ("SourceTransformation", "KafkaSource-default_catalog.default_database.events", "", "source-events"),
        ("LegacySourceTransformation", "clock[5]", "", "source-clock"),
        ("SinkTransformation", "profiles[25]", "", "profiles"),
        ("X", "ProcessTableFunction[11]", "invocation=[admit_events(TABLE(#0) PARTITION BY($0))]", "admit_events"),
        ("X", "PythonCalc[19]", "[19]:PythonCalc(select=[a, b, personalize(a, b) AS f0])", None),
        ("X", "GroupAggregate[36]", "GroupAggregate(groupBy=[a, b], select=[])", "GroupAggregate-by-a-b"),
        ("X", "Calc[2]", "[2]:Calc(select=[value])", None),
    ],
)  # fmt: skip
def test_uid(kind: str, name: str, description: str, uid: str | None) -> None:
    assert uid_of(kind, name, description) == uid


def test_python_has_a_name_and_no_uid() -> None:
    description = "[19]:PythonCalc(select=[a, b, personalize(a, b) AS f0])"
    assert python_call("PythonCalc[19]", description) == "personalize"
    assert python_call("Calc[19]", description) is None


class Operator:
    """As much of Flink's Transformation as is asked."""

    def __init__(self, number: int, name: str, *inputs: "Operator") -> None:
        self.number, self.name, self.inputs, self.uid = number, name, list(inputs), None

    def getClass(self) -> Any:  # Flink's name
        return self

    def getSimpleName(self) -> str:
        return "SinkTransformation"

    def getDescription(self) -> str:
        return ""

    def getName(self) -> str:
        return self.name

    def getId(self) -> int:
        return self.number

    def getInputs(self) -> list["Operator"]:
        return self.inputs

    def setUid(self, uid: str) -> None:
        self.uid = uid

    def setName(self, name: str) -> None:
        self.name = name


def test_each_is_named_once_and_no_two_alike() -> None:
    shared = Operator(1, "a[1]")
    name_operators([Operator(2, "b[2]", shared), Operator(3, "c[3]", shared)])
    assert (shared.uid, shared.name) == ("a", "a")
    with pytest.raises(ValueError, match="Two operators would be called 'a'"):
        name_operators([Operator(1, "a[1]"), Operator(2, "a[2]")])
