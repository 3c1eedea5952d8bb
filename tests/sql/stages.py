"""`sql/` on Flink itself, bounded, with rows in place of Kafka: the stages that need no Python function."""

import json
import re
from pathlib import Path
from typing import Any

from pyflink.common import RowKind
from pyflink.table import EnvironmentSettings, TableEnvironment

from jobs.personalize import JAVA_FUNCTIONS, configuration, statements
from usher.settings import load

VIEWS = (
    "parsed", "admitted", "tiles", "refusals", "notices", "routes", "turns", "rolled", "relayed", "merged",
    "features", "departed", "rejected",
)  # fmt: skip


class Stages:
    """The views of `sql/` over `given` rows of `record_time` and `message`, in order; offset = place in the list.

    Their `partition` is 0 if nothing else is said; time goes by all of them.

    `without` names views that are to be empty: a branch that has no rows cannot make time lag behind the others.
    A row may have a `control`: the header by which a record is no event but a wish.

    One subtask, and a watermark after each row: so that it is certain when a window closes. No clock ticks.
    """

    def __init__(
        self, given: list[dict[str, Any]], file: Path, without: tuple[str, ...] = (), allowed_lateness_s: str = "0"
    ) -> None:
        self.without = without
        told = {"USHER_PARALLELISM": "1", "USHER_CATCH_UP_S": "0", "USHER_ALLOWED_LATENESS_S": allowed_lateness_s}
        settings = load(told)
        config = configuration(settings)
        config.set_string("pipeline.auto-watermark-interval", "0 ms")
        builder = EnvironmentSettings.new_instance().in_streaming_mode()
        self.env = TableEnvironment.create(builder.with_configuration(config).build())
        for name, java_class in JAVA_FUNCTIONS.items():
            self.env.execute_sql(f"CREATE TEMPORARY SYSTEM FUNCTION {name} AS '{java_class}'")
        self.inserts: dict[str, str] = {}
        file.write_text("".join(json.dumps(record(row, n)) + "\n" for n, row in enumerate(given)))
        for statement in statements(settings, bounded=True):
            self._run(statement.rstrip(";"), file)

    def _run(self, statement: str, file: Path) -> None:
        kind, name = re.match(r"(CREATE TABLE|CREATE TEMPORARY VIEW|INSERT INTO) (\w+)", statement).groups()
        if kind == "INSERT INTO":
            columns, query = re.search(r"(\(.*?\))\s*(SELECT.*)", statement, re.S).groups()
            self.inserts[name] = f"({query}) AS {name} {columns}"
        elif name == "events":
            self._events(re.search(r"WATERMARK FOR .*?(?=\n\))", statement, re.S).group(), file)
        elif kind == "CREATE TEMPORARY VIEW" and name in VIEWS:
            self.env.execute_sql(f"{statement}\nWHERE FALSE" if name in self.without else statement)

    def _events(self, watermark: str, file: Path) -> None:
        self.env.execute_sql(f"""
            CREATE TABLE given (
                text STRING, record_time TIMESTAMP_LTZ(3), `partition` INT, `offset` BIGINT, control STRING, {watermark}
            ) WITH (
                'connector' = 'filesystem', 'path' = '{file.as_uri()}',
                'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
            )""")
        self.env.execute_sql("""
            CREATE TEMPORARY VIEW events AS
            SELECT ENCODE(text, 'UTF-8') AS `value`, record_time, `partition`, `offset`,
                MAP['usher-control', ENCODE(control, 'UTF-8')] AS headers
            FROM given""")
        self.env.execute_sql("""
            CREATE TEMPORARY VIEW clock AS
            SELECT record_time AS beat_time FROM given WHERE FALSE""")

    def collect(self, columns: list[str], source: str) -> list[tuple[str | None, ...]]:
        """What remains of a view, of an INSERT's SELECT or of a query: sorted, every value as SQL writes it."""
        query = f"({source})" if source.startswith("SELECT") else self.inserts.get(source, source)
        texts = ", ".join(f"CAST({quoted(column)} AS STRING)" for column in columns)
        rows: list[tuple[str | None, ...]] = []
        with self.env.execute_sql(f"SELECT {texts} FROM {query}").collect() as results:
            for row in results:
                if row.get_row_kind() in (RowKind.INSERT, RowKind.UPDATE_AFTER):
                    rows.append(tuple(row))
                else:
                    rows.remove(tuple(row))
        return sorted(rows, key=repr)


def quoted(column: str) -> str:
    """A name may be a word of SQL's; what is no name is an expression, as `headers['reason']`."""
    return f"`{column}`" if column.isidentifier() else column


def record(row: dict[str, Any], offset: int) -> dict[str, Any]:
    """A message is an object, or text or null as it comes."""
    message = row["message"]
    text = json.dumps(message) if isinstance(message, dict) else message
    source = {"partition": int(row.get("partition", 0)), "offset": offset, "control": row.get("control")}
    return {"text": text, "record_time": row["record_time"], **source}
