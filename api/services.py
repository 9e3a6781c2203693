"""What the routes work with, made once in each server process, when its first request comes."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import redis
import sqlalchemy as sa
import structlog
from flask import Request

from api.authentication import Authenticator, bearer_token
from api.currencies import Currencies
from api.draining import Draining
from api.errors import Unauthenticated
from api.limits import Limits
from api.metrics import Metrics
from api.sessions.guard import SessionGuard
from api.sessions.opening import open_store
from api.sessions.sessions import Sessions
from api.sessions.settings import SessionSettings
from api.settings import ApiSettings
from api.sms.codes import Codes
from api.sms.providers import provider_of
from api.sms.settings import SmsSettings
from ledger import revisions
from ledger.append import Ledger
from ledger.commands import ProductTerms
from ledger.database import are_split, database_url, directory_url, open_engine
from ledger.directory import products, users
from ledger.directory.access import Principal, Principals
from ledger.directory.directory import Directory
from ledger.directory.names import CustomerNames
from ledger.figures import watch_pool
from ledger.money import Currency, currency
from ledger.remembering import Remembered
from ledger.replicas.reading import Replicas
from ledger.settings import LedgerSettings, read_settings
from ledger.webhooks.settings import WebhookSettings
from projections.redis_clients import open_redis
from projections.reporting import Reporter, Who
from projections.settings import ProjectionSettings
from projections.wake import Waker

REMEMBER_S = 1.0
"""How long keys and prices are remembered between requests."""
PRODUCTS_MAX = 100_000
LOG_EXPORTS_MAX = 1
"""Exports of the log that are made at a time in one process."""
WORKBOOKS_MAX = 1
"""XLSX exports that are made at a time in one process: they take its processor from everybody else."""
REPLAYS_MAX = 1
"""The same for what-ifs."""
BATCH_STREAMS_SHARE = 4
"""Of so many turns one may be a streamed batch's, which lasts as long as its client wants."""

_log = structlog.get_logger(__name__)


class Services:
    """The settings, databases, the ledger and Redis of one server process.

    Thread-safe; nothing connects before it is used.
    """

    def __init__(self, environment: Mapping[str, str], draining: Draining | None = None) -> None:
        self.environment = environment
        self.draining = draining or Draining()
        self.settings = ApiSettings.from_environment(environment)
        self.ledger_settings = read_settings(LedgerSettings, environment)
        self.projection_settings = ProjectionSettings.from_environment(environment)
        self.webhook_settings = WebhookSettings.from_environment(environment)
        self.engine: sa.Engine = open_engine(database_url(self.ledger_settings), self.ledger_settings)
        self.replicas = Replicas(self.ledger_settings, self.engine)
        self.currencies = Currencies(self.engine, self.default_currency)
        self.directory = Directory(open_engine(directory_url(self.ledger_settings), self.ledger_settings))
        # Without a database of its own nothing works while it is away, and nobody should wait to hear that.
        is_split = are_split(self.engine, self.directory.engine)
        self._grace_s = self.ledger_settings.directory_grace_s if is_split else 0.0
        self.names = CustomerNames(self.directory, grace_s=self._grace_s)
        self.principals = Principals(self.directory, remember_s=REMEMBER_S, grace_s=self._grace_s)
        timeout_s = self.projection_settings.redis_timeout_s
        self.redis: redis.Redis = open_redis(self.projection_settings.redis_url, timeout_s=timeout_s)
        self.queue_redis: redis.Redis = open_redis(self.projection_settings.queue_redis_url, timeout_s=timeout_s)
        for pool, owner in (
            ("log", self.engine),
            ("directory", self.directory.engine),
            ("redis", self.redis),
            ("queue-redis", self.queue_redis),
        ):
            watch_pool(pool, owner)
        self.waker = Waker(self.queue_redis)
        self.ledger = Ledger(self.engine, self.ledger_settings, after_commit=self.waker.after_commit)
        self.limits = Limits(self.redis)
        self.session_settings = SessionSettings.from_environment(environment)
        store = open_store(
            self.session_settings, client=self.redis, directory=self.directory, data=self.ledger_settings.data
        )
        self.sessions = Sessions(store, self.session_settings, partial(users.person, self.directory))
        # A key is shown on purpose, a cookie comes by itself: with both it is the key's request.
        self.authenticators: tuple[Authenticator, ...] = (
            self._by_key,
            SessionGuard(self.sessions, self.session_settings),
        )
        self.cursor_key = self._cursor_key()
        self.sms_settings = SmsSettings.from_environment(environment)
        provider = provider_of(self.sms_settings)
        self.codes = Codes(self.redis, self.limits, provider, self.sms_settings, self.cursor_key)
        self.wanted_schema = revisions.head("log")
        self.metrics = Metrics()
        self.workbooks = threading.BoundedSemaphore(WORKBOOKS_MAX)
        self.replays = threading.BoundedSemaphore(REPLAYS_MAX)
        self.log_exports = threading.BoundedSemaphore(LOG_EXPORTS_MAX)
        streams_max = min(self.settings.batch_streams_max, self.settings.api_threads // BATCH_STREAMS_SHARE)
        self.batch_streams = threading.BoundedSemaphore(max(1, streams_max))
        self.event_streams = threading.BoundedSemaphore(self.settings.event_streams_max)
        self.description: Callable[[], dict[str, Any]] = dict
        self._terms = Remembered(
            self._read_terms,
            remember_s=REMEMBER_S,
            entries_max=PRODUCTS_MAX,
            grace_s=self._grace_s,
        )

    @property
    def currency(self) -> str:
        """The code of the currency of what names none."""
        return self.ledger_settings.currency

    @property
    def default_currency(self) -> Currency:
        """The currency of what names none."""
        return currency(self.ledger_settings.currency)

    def currency_of(self, account_id: str) -> Currency:
        """Return the account's currency; the default for an account that does not exist (yet)."""
        return self.currencies.of(account_id)

    def terms_of(self, sku: str) -> ProductTerms | None:
        """Return the product's terms, at most a moment old; None when it is not on sale."""
        return self._terms.get(sku)

    def forget_terms(self) -> None:
        """Read prices again: a product was changed."""
        self._terms.forget()

    def report(self) -> None:
        """Let this process's figures be seen by others, and show theirs."""
        interval_s = self.projection_settings.metrics_interval_s
        if interval_s > 0 and self.metrics.reporter is None:
            who = Who.of_this_process("api")
            self.metrics.reporter = Reporter(self.redis, who, self.metrics.registries, interval_s)

    def close(self) -> None:
        """Commit what waits and close what is open."""
        if self.metrics.reporter is not None:
            self.metrics.reporter.close()
        self.codes.close()
        self.ledger.close()
        self.waker.close()
        self.replicas.close()
        self.engine.dispose()
        self.directory.engine.dispose()

    def _read_terms(self, skus: Sequence[str]) -> dict[str, ProductTerms]:
        read = {sku: products.terms_of(self.directory, sku) for sku in skus}
        return {sku: terms for sku, terms in read.items() if terms is not None}

    def principal_of(self, token: str) -> Principal:
        """Return whom an API key stands for. Raises Unauthenticated, ReadUnavailable."""
        principal = self.principals.of_key(token)
        if principal is None:
            raise Unauthenticated()
        return principal

    def _by_key(self, request: Request) -> Principal | None:
        token = bearer_token(request)
        return None if token is None else self.principal_of(token)

    def _cursor_key(self) -> bytes:
        if self.settings.secret_key:
            return self.settings.secret_key.encode("utf-8")
        _log.warning("no secret key is set: cursors of lists end with this process", setting="ORDERLEDGER_SECRET_KEY")
        return secrets.token_bytes(32)


class Once:
    """Calls a factory once in each process, also after a fork, and remembers what it made."""

    def __init__(self, factory: Callable[[], Services]) -> None:
        self._factory = factory
        self._making = threading.Lock()
        self._made: tuple[int, Services] | None = None

    def __call__(self) -> Services:
        """Return what the factory made in this process."""
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[1]
        with self._making:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._factory())
            return self._made[1]

    def made(self) -> Services | None:
        """Return what was made in this process, None when nothing was."""
        return None if self._made is None or self._made[0] != os.getpid() else self._made[1]
