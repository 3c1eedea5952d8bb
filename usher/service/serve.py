"""`usher serve`: the application in several processes."""

import logging.config
import os
from pathlib import Path
from typing import Any

import uvicorn

from usher.service.keys import Keys
from usher.service.privacy import Pseudonyms

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "usher": {"level": "INFO"},
        "uvicorn": {"level": "INFO"},
        # it warns of each record's topic and time-out once a second while Kafka is away; the service says so itself
        "kafka": {"level": "CRITICAL"},
    },
}


def serve(settings: dict[str, Any], host: str, port: int, workers: int | None) -> None:
    """Serve until stopped. What cannot work is said here, once, and not by each worker."""
    Keys.load(Path(settings["service_keys"]))
    Pseudonyms.load()
    for name in ("kafka", "elasticsearch"):  # the workers are new processes: they load settings by themselves
        os.environ[f"USHER_{name.upper()}"] = settings[name]
    logging.config.dictConfig(LOGGING)
    uvicorn.run(
        "usher.service:create",
        factory=True,
        host=host,
        port=port,
        workers=workers or settings["service_workers"],
        log_config=LOGGING,
        access_log=False,  # its lines hold paths and addresses, and so ids
        server_header=False,
        ws="none",  # there is nothing to upgrade to, and a refused upgrade is logged with address, path and query
        proxy_headers=False,  # X-Forwarded-For counts from trusted proxies only: see Door.origin
        timeout_keep_alive=75,  # longer than the pools of clients and balancers keep idle connections
        h11_max_incomplete_event_size=16 * 1024,
        timeout_graceful_shutdown=10,
        # with uvicorn's 5 s a worker that loads slowly, as on a busy machine, is killed and begun again for ever
        timeout_worker_healthcheck=60,
    )
