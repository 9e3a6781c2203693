"""What a worker process is made of, built from its environment; nothing connects before it is used."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.append import Ledger
from ledger.database import database_url, directory_url, open_engine
from ledger.directory import products
from ledger.directory.directory import Directory
from ledger.figures import watch_pool
from ledger.settings import LedgerSettings, read_settings
from ledger.webhooks.settings import WebhookSettings
from projections.redis_clients import open_redis
from projections.settings import ProjectionSettings
from projections.wake import AGENT, WEBHOOKS, Waker, clear_flag, wake
from workers.agent import Agent
from workers.runner import Runner
from workers.settings import WorkerSettings
from workers.webhooks.courier import Courier
from workers.webhooks.job import gather


class Process:
    """The settings, the databases, the ledger and the queue's Redis of one worker process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = WorkerSettings.from_environment(environment)
        self.webhook_settings = WebhookSettings.from_environment(environment)
        self.projection_settings = ProjectionSettings.from_environment(environment)
        ledger_settings = read_settings(LedgerSettings, environment)
        self.engine = open_engine(database_url(ledger_settings), ledger_settings)
        self.directory = Directory(open_engine(directory_url(ledger_settings), ledger_settings))
        timeout_s = self.projection_settings.redis_timeout_s
        self.redis = open_redis(self.projection_settings.redis_url, timeout_s=timeout_s)
        self.queue_redis = open_redis(self.projection_settings.queue_redis_url, timeout_s=timeout_s)
        for pool, owner in (
            ("log", self.engine),
            ("directory", self.directory.engine),
            ("redis", self.redis),
            ("queue-redis", self.queue_redis),
        ):
            watch_pool(pool, owner)
        self._waker = Waker(self.queue_redis)
        self.ledger = Ledger(self.engine, ledger_settings, after_commit=self._waker.after_commit)

    def agent(self) -> Agent:
        """Start this process's agent."""
        runner = Runner(
            engine=self.engine,
            ledger=self.ledger,
            executor_of=lambda sku: products.executor_of(self.directory, sku),
            settings=self.settings,
        )
        return Agent(runner, self.wake_agent, job_begins=lambda: clear_flag(self.queue_redis, AGENT))

    def webhooks(self) -> Agent:
        """Start this process's courier."""
        courier = Courier(
            log_engine=self.engine, directory_engine=self.directory.engine, settings=self.webhook_settings
        )
        return Agent(
            courier, self.wake_webhooks, job_begins=lambda: gather(lambda: clear_flag(self.queue_redis, WEBHOOKS))
        )

    def wake_webhooks(self) -> None:
        """Ask for a job of the courier."""
        wake(self.queue_redis, WEBHOOKS)

    def wake_agent(self) -> None:
        """Ask for a job of the agent."""
        wake(self.queue_redis, AGENT)

    def close(self) -> None:
        """Commit what waits and stop."""
        self.ledger.close()
        self._waker.close()
