"""The one streaming job: tracking events in Kafka become user profiles in Elasticsearch.

    events -> parsed -> admitted -> tiles -> features -> answered -> profiles, decisions
                            \\-> events_quarantined, events_late, ingest

It is `sql/`, in order; this file registers the functions that SQL calls and submits the INSERTs as one job:

    flink run -py jobs/personalize.py          (docs/cluster.md has the whole line)
"""

import argparse
import os
import string
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from jobs.operators import name_operators
from udfs.personalize import personalize
from usher.access import AccessError, check_access, elasticsearch_options, kafka_options
from usher.cluster import FlinkRest, RestError
from usher.settings import ROOT, SettingsError, load

SQL = ROOT / "sql"
ONLY = {"profiles": ("profiles", "profiles_gone")}
"""What `--only` may name, and the tables that belong to it: who has left must not stay in a fresh index."""
JAVA_FUNCTIONS = {
    "parse_events": "usher.events.ParseEvents",
    "admit_events": "usher.events.AdmitEvents",
    "withdrawals": "usher.events.Withdrawals",
    "resolve_ids": "usher.events.ResolveIds",
    "roll_features": "usher.events.RollFeatures",
    "merge_features": "usher.events.MergeFeatures",
    "one_stream": "usher.events.OneStream",
}


def configuration(settings: dict[str, Any], local: bool = True) -> Configuration:
    """What Flink is told; every value comes from the settings or has its reason beside it.

    `local` is the in-process minicluster; a real one gets jar and interpreter from the command line of `flink run`.
    """
    options = {
        "pipeline.name": "personalize",
        "pipeline.object-reuse": "true",
        "pipeline.max-parallelism": str(settings["max_parallelism"]),
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
        "python.fn-execution.bundle.size": str(settings["bundle_size"]),
        "python.fn-execution.arrow.batch.size": str(settings["bundle_size"]),
        "python.fn-execution.bundle.time": str(settings["bundle_ms"]),
        "pipeline.auto-watermark-interval": "100 ms",
        "execution.checkpointing.dir": settings["checkpoint_dir"],
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        # a fault that restarts do not cure is said, not retried for ever; ...
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": str(settings["restart_attempts"]),
        # ... but one that waits for Kafka or Elasticsearch runs for a minute before it fails, and may do so for hours
        "restart-strategy.exponential-delay.reset-backoff-threshold": "45 s",
    }
    if settings["restore_from"]:
        options["execution.state-recovery.path"] = settings["restore_from"]
    if local:
        options["pipeline.jars"] = Path(settings["connectors_jar"]).as_uri()
        # web UI and REST, for `usher status`; the next free port if another job has it
        first = urlsplit(settings["flink"]).port or 8081
        options["rest.bind-port"] = f"{first}-{first + 100}"
        options["python.executable"] = options["python.client.executable"] = sys.executable
        # workers as processes, not threads of this interpreter: else all share one GIL
        os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112
    config = Configuration()
    for name, value in options.items():
        config.set_string(name, value)
    return config


def statements(settings: dict[str, Any], bounded: bool) -> list[str]:
    """The SQL of `sql/`, in order, with the settings filled in.

    `bounded` stops at the end of the topic, and lets events alone carry time: for reprocessing history.
    """
    quoted = {name: value.replace("'", "''") if isinstance(value, str) else value for name, value in settings.items()}
    values = quoted | {
        "tile_ms": settings["tile_s"] * 1000,
        "allowed_lateness_ms": int(settings["allowed_lateness_s"] * 1000),
        "catch_up_ms": int(settings["catch_up_s"] * 1000),
        "state_ttl_ms": int(settings["state_ttl_h"] * 3_600_000),
        "bounded_mode": "latest-offset" if bounded else "unbounded",
        "idle_timeout": f"{settings['idle_timeout_s']} s" if not bounded else "0 s",
        "clock_beats": "'number-of-beats' = '1'," if bounded else "",
        "startup": startup(settings["start_at"]),
        "kafka_access": kafka_options(settings),
        "elasticsearch_access": elasticsearch_options(settings),
    }
    found = []
    for file in sorted(SQL.glob("[0-9][0-9]_*.sql")):
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("--")]
        text = string.Template("\n".join(lines)).substitute(values)
        found += [statement.strip() for statement in text.split(";\n") if statement.strip(" ;\n")]
    return found


def startup(start_at: str) -> str:
    """Where the source begins when there is no savepoint."""
    if not start_at:
        return "'scan.startup.mode' = 'earliest-offset',"
    millis = round(datetime.fromisoformat(start_at).timestamp() * 1000)
    return f"'scan.startup.mode' = 'timestamp', 'scan.startup.timestamp-millis' = '{millis}',"


def build(
    settings: dict[str, Any], bounded: bool = False, local: bool = True, only: str | None = None
) -> StreamExecutionEnvironment:
    """The job, ready to `execute()`; `only` (one of ONLY) leaves out every output but its tables."""
    stream_env = StreamExecutionEnvironment.get_execution_environment(configuration(settings, local))
    table_env = StreamTableEnvironment.create(stream_env)
    for name, java_class in JAVA_FUNCTIONS.items():
        table_env.execute_sql(f"CREATE TEMPORARY SYSTEM FUNCTION {name} AS '{java_class}'")
    table_env.create_temporary_system_function("personalize", personalize(settings))
    inserts = table_env.create_statement_set()
    for statement in statements(settings, bounded):
        if statement.startswith("INSERT"):
            if only and statement.split()[2] not in ONLY[only]:
                continue
            inserts.add_insert_sql(statement.rstrip(";"))
        else:
            table_env.execute_sql(statement.rstrip(";"))
    inserts.attach_as_datastream()
    if only is None:  # whatever is left out changes the plan, so that no savepoint would fit
        name_operators(stream_env._j_stream_execution_environment.getTransformations())
    return stream_env


def main() -> None:
    """What `flink run` calls: a fault that can be known before the start ends in a sentence."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bounded", action="store_true", help="stop at the end of the topic")
    parser.add_argument("--only", choices=ONLY, help="write nothing else")
    arguments = parser.parse_args()
    try:
        settings = load(cluster=True)
        check_access(settings)
        stream_env = build(settings, arguments.bounded, local=False, only=arguments.only)
        if settings["replaces"]:
            replace(settings, stream_env)
    except (SettingsError, AccessError, RestError) as error:
        refuse(str(error))
    stream_env.execute("personalize")


class Parser(argparse.ArgumentParser):
    """One whose complaints reach whoever typed `flink run`."""

    def error(self, message: str) -> NoReturn:
        refuse(f"jobs/personalize.py: {message}.")


def replace(settings: dict[str, Any], stream_env: StreamExecutionEnvironment) -> None:
    """Stop the running job with a savepoint and let its successor go on from there.

    Only now, when that is planned: nothing is processed while it starts, but all is while it is unpacked and planned.
    """
    savepoint = FlinkRest(settings["flink"]).stop(settings["replaces"], settings["savepoint_dir"])
    print(f"Savepoint completed. Path: {savepoint}", flush=True)  # as `flink stop` says it; needed if the start fails
    recovery = Configuration()
    recovery.set_string("execution.state-recovery.path", savepoint)
    stream_env.configure(recovery)


def refuse(sentence: str) -> NoReturn:
    """End with the sentence: of this exception `flink run` shows the text alone, of any other a trace."""
    if "PYFLINK_GATEWAY_PORT" not in os.environ:
        raise SystemExit(sentence)
    flink = get_gateway().jvm.org.apache.flink
    refused = flink.client.program.ProgramParametrizationException(sentence)
    # PyFlink hands on only what was caused by this one (PythonEnvUtils.setPythonException)
    application, failed = flink.client.deployment.application, flink.api.common.JobStatus.FAILED
    refused.initCause(application.UnsuccessfulExecutionException(None, failed, sentence, None))
    flink.client.python.PythonEnvUtils.setPythonException(refused)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
