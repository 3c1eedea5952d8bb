"""A drift report for machines: documents in Elasticsearch, and metrics for Prometheus."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elasticsearch import ApiError, AuthenticationException, Elasticsearch, TransportError, helpers
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from usher.model import ModelError
from usher.model.reference import iso_of

from ._watch import Report

INDEX = "drift"


def documents(report: Report, at: datetime | None = None) -> Iterator[dict[str, Any]]:
    """One a finding, as conf/elasticsearch/drift.json maps them."""
    found = {
        "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "window_from": iso_of(report.begin),
        "window_to": iso_of(report.end),
        "model_version": report.model_version,
    }
    for finding in report.findings:
        facts = asdict(finding)
        since = facts.pop("at")
        yield found | facts | {"since": since and iso_of(since), "drifted": finding.drifted}


def store(report: Report, elasticsearch: str, **login: Any) -> int:
    """Write them; how many. The same window of the same model again replaces what was found before.

    `login` is what elasticsearch-py needs beside the address (`usher.access.elasticsearch_login`).
    """
    actions = [
        {
            "_index": INDEX,
            "_id": "|".join((d["model_version"], d["window_to"], d["segment"], d["kind"], d["name"])),
            "_source": d,
        }
        for d in documents(report)
    ]
    where = f"The findings were not stored: Elasticsearch at {elasticsearch}"
    try:
        with Elasticsearch(**{"hosts": elasticsearch} | login) as client:
            helpers.bulk(client, actions)
    except AuthenticationException as error:
        raise ModelError(f"{where} does not accept the login: check USHER_ELASTICSEARCH_USER and the like.") from error
    except helpers.BulkIndexError as error:
        problem = next(iter(error.errors[0].values())).get("error", {})
        raise ModelError(
            f"{where} refuses {len(error.errors)} of {len(actions)} ({problem.get('type')}: {problem.get('reason')}): "
            "does `usher setup` say that the index drift is as it should be, and may the login write to it?"
        ) from error
    except (ApiError, TransportError) as error:
        raise ModelError(
            f"{where} does not answer as it should ({type(error).__name__}): check USHER_ELASTICSEARCH, that it is up "
            "and that the login may write, or give --no-store."
        ) from error
    return len(actions)


def write_metrics(report: Report, file: Path) -> None:
    """A text file for the node exporter's textfile collector."""
    registry = CollectorRegistry()
    labels = ("kind", "name", "segment")
    value = Gauge("usher_drift", "PSI, rise of the error, share or age, by kind", labels, registry=registry)
    js = Gauge("usher_drift_js", "Jensen-Shannon divergence in bits, beside the PSI", labels, registry=registry)
    drifted = Gauge("usher_drift_found", "1 where the limit of conf/model.yaml is exceeded", labels, registry=registry)
    for finding in report.findings:
        at = (finding.kind, finding.name, finding.segment)
        value.labels(*at).set(finding.value)
        drifted.labels(*at).set(finding.drifted)
        if finding.js is not None:
            js.labels(*at).set(finding.js)
    write_to_textfile(str(file), registry)
