"""Names and uids for what keeps state, so that a savepoint finds its owner in a changed job.

Flink derives both from the position of an operator in the plan; a column or a sink more moves them. Here they come
from what the operator is: the table it reads or writes, the function it calls, the keys it groups by.
"""

import re
from collections.abc import Iterator
from typing import Any

CALLS = re.compile(r"invocation=\[(\w+)\(")
PYTHON_CALL = re.compile(r"\b(\w+)\(")
GROUPED = re.compile(r"groupBy=\[([^\]]*)\]")


def name_operators(transformations: list[Any]) -> None:
    """Name the plan's operators (`Transformation` objects): each stateful one with a uid, too, and each Python one."""
    taken: dict[str, str] = {}
    for operator in reachable(transformations):
        kind, description = operator.getClass().getSimpleName(), operator.getDescription() or ""
        if call := python_call(operator.getName(), description):
            operator.setName(call)  # keeps no state, so that two of them may have one name
            continue
        uid = uid_of(kind, operator.getName(), description)
        if uid is None:
            continue
        if uid in taken:
            raise ValueError(
                f"Two operators would be called {uid!r}: {taken[uid]} and {description}. Their state could not be told "
                "apart after an upgrade; let jobs/operators.py name them differently."
            )
        taken[uid] = description
        operator.setUid(uid)
        operator.setName(uid)


def uid_of(kind: str, name: str, description: str) -> str | None:
    """The uid by what the operator is; None for one that keeps no state.

    >>> uid_of("SinkTransformation", "profiles[25]", "")
    'profiles'
    """
    plain = re.sub(r"\[\d+\]$", "", name)
    if kind in ("SourceTransformation", "LegacySourceTransformation"):
        return "source-" + plain.rpartition(".")[2]
    if kind == "SinkTransformation":
        return plain
    if plain == "ProcessTableFunction" and (call := CALLS.search(description)):
        return call[1]
    if "Aggregate" in plain and (keys := GROUPED.search(description)):
        return f"{plain}-by-{'-'.join(keys[1].split(', '))}"
    return None


def python_call(name: str, description: str) -> str | None:
    """The Python function that an operator runs; None for one of the JVM's."""
    call = PYTHON_CALL.search(description.partition("select=")[2]) if name.startswith("Python") else None
    return call[1] if call else None


def reachable(transformations: list[Any]) -> Iterator[Any]:
    """All operators of the plan, each once, from the sinks upwards."""
    seen: set[int] = set()
    waiting = list(transformations)
    while waiting:
        operator = waiting.pop()
        if operator.getId() not in seen:
            seen.add(operator.getId())
            yield operator
            waiting.extend(operator.getInputs())
