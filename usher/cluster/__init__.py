"""A Flink cluster: one on this machine, and asking one how it does."""

from usher.cluster._local import ClusterError, LocalCluster
from usher.cluster._rest import FlinkRest, RestError
from usher.cluster._status import job_status

__all__ = ["ClusterError", "FlinkRest", "LocalCluster", "RestError", "job_status"]
