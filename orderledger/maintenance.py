"""The maintenance process with all there is to look after: what workers do, and what only the API's side knows of."""

from __future__ import annotations

from collections.abc import Mapping

from api.sessions.opening import open_store
from api.sessions.settings import SessionSettings
from ledger.clock import now_us
from ledger.settings import LedgerSettings, read_settings
from orderledger.opening import opened_directory, opened_engine
from orderledger.sealing import sealing_parts
from orderledger.verifying import Verifier
from projections.redis_clients import open_redis
from projections.settings import ProjectionSettings
from workers.maintenance import run_maintenance
from workers.reporting import reporting
from workers.settings import WorkerSettings
from workers.sweeper import Part


def maintain(environment: Mapping[str, str]) -> int:
    """Look after everything until told to stop; return the exit code."""
    projection_settings = ProjectionSettings.from_environment(environment)
    client = open_redis(projection_settings.redis_url, timeout_s=projection_settings.redis_timeout_s)
    with opened_directory(environment) as directory, opened_engine(environment) as log:
        store = open_store(
            SessionSettings.from_environment(environment),
            client=client,
            directory=directory,
            data=read_settings(LedgerSettings, environment).data,
        )
        part = Part(
            name="sessions",
            interval_s=WorkerSettings.from_environment(environment).sweep_slow_interval_s,
            run=lambda: store.collect(now_us()),
        )
        verifier = Verifier(environment, log)
        try:
            with reporting(projection_settings, "maintenance"):
                return run_maintenance(environment, more_parts=[part, *sealing_parts(environment, log), verifier.part])
        finally:
            verifier.close()
