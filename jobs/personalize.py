"""The one streaming job: tracking events in Kafka become user profiles in Elasticsearch.

    events -> parsed -> admitted -> tiles -> features -> enriched -> predicted -> decided -> profiles, decisions
                            \\-> events_quarantined, events_late, ingest

It is `sql/`, in order; this file registers the functions that SQL calls and submits the INSERTs as one job:

    flink run -py jobs/personalize.py
"""

import string
import sys
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, StatementSet, TableEnvironment

from udfs.decide import decide
from udfs.enrich import enrich
from udfs.predict import predict
from usher.settings import ROOT, load

SQL = ROOT / "sql"
JAVA_FUNCTIONS = {
    "clock_time": "usher.events.ClockTime",
    "parse_events": "usher.events.ParseEvents",
    "admit_events": "usher.events.AdmitEvents",
    "roll_features": "usher.events.RollFeatures",
}


def configuration(settings: dict[str, Any]) -> Configuration:
    """What Flink is told; every value comes from the settings or has its reason beside it."""
    options = {
        "pipeline.name": "personalize",
        "pipeline.jars": Path(settings["connectors_jar"]).as_uri(),
        "pipeline.object-reuse": "true",
        "parallelism.default": str(settings["parallelism"]),
        "table.local-time-zone": "UTC",
        "table.exec.state.ttl": f"{settings['state_ttl_h']} h",
        # the profile's key is made unique by roll_features, which the planner cannot know
        "table.exec.sink.require-on-conflict": "false",
        "table.exec.sink.upsert-materialize": "NONE",
        # the INSERTs share their common path: each record is read, parsed and admitted once
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
        "state.backend.type": settings["state_backend"],
        "execution.checkpointing.interval": f"{settings['checkpoint_interval_s']} s",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "python.fn-execution.bundle.size": str(settings["bundle_size"]),
        "python.fn-execution.arrow.batch.size": str(settings["bundle_size"]),
        "python.fn-execution.bundle.time": str(settings["bundle_ms"]),
        "pipeline.auto-watermark-interval": "100 ms",
        "execution.checkpointing.dir": settings["checkpoint_dir"],
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        # a fault that ten restarts do not cure is said, not retried for ever
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": "10",
    }
    if settings["restore_from"]:
        options["execution.state-recovery.path"] = settings["restore_from"]
    config = Configuration()
    for name, value in options.items():
        config.set_string(name, value)
    # workers as processes, not threads of this interpreter: else all share one GIL
    config.set_string("_python_worker_execution_mode", "process")
    return config


def statements(settings: dict[str, Any], bounded: bool) -> list[str]:
    """The SQL of `sql/`, in order, with the settings filled in.

    `bounded` stops at the end of the topic, and lets events alone carry time: for reprocessing history.
    """
    values = settings | {
        "tile_ms": settings["tile_s"] * 1000,
        "bounded_mode": "latest-offset" if bounded else "unbounded",
        "idle_timeout": f"{settings['idle_timeout_s']} s" if not bounded else "0 s",
        "clock_rows": "'number-of-rows' = '1'," if bounded else "",
    }
    found = []
    for file in sorted(SQL.glob("[0-9][0-9]_*.sql")):
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("--")]
        text = string.Template("\n".join(lines)).substitute(values)
        found += [statement.strip() for statement in text.split(";\n") if statement.strip(" ;\n")]
    return found


def build(settings: dict[str, Any], bounded: bool = False) -> StatementSet:
    """The job, ready to `execute()`."""
    environment = EnvironmentSettings.new_instance().in_streaming_mode()
    table_env = TableEnvironment.create(environment.with_configuration(configuration(settings)).build())
    for name, java_class in JAVA_FUNCTIONS.items():
        table_env.execute_sql(f"CREATE TEMPORARY SYSTEM FUNCTION {name} AS '{java_class}'")
    table_env.create_temporary_system_function("enrich", enrich(settings["geo_database"]))
    table_env.create_temporary_system_function("predict", predict(settings["model_dir"]))
    table_env.create_temporary_system_function("decide", decide(settings["rules_dir"]))
    inserts = table_env.create_statement_set()
    for statement in statements(settings, bounded):
        if statement.startswith("INSERT"):
            inserts.add_insert_sql(statement.rstrip(";"))
        else:
            table_env.execute_sql(statement.rstrip(";"))
    return inserts


if __name__ == "__main__":
    build(load(), bounded="--bounded" in sys.argv[1:]).execute().wait()
