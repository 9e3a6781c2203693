"""Check settings and servers from the command line."""

from __future__ import annotations

from collections.abc import Mapping

from api import doctor
from ledger.settings import PREFIX
from orderledger.opening import opened_directory, opened_engine
from projections.redis_clients import open_redis


def examine(environment: Mapping[str, str]) -> list[doctor.Finding]:
    """Return every check's finding for what the environment names."""
    models = environment[PREFIX + "REDIS_URL"]
    urls = sorted({models, environment.get(PREFIX + "QUEUE_REDIS_URL") or models})
    with opened_engine(environment) as log, opened_directory(environment) as directory:
        clients = [open_redis(url) for url in urls]
        return doctor.examine(environment, log=log, directory=directory.engine, clients=clients)
