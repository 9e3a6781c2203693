"""The Flask application: the areas' routes on one set of services, made when the first request comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from api import (
    answers,
    balances,
    batches,
    commands,
    events,
    exports,
    health,
    log,
    login,
    money,
    openapi,
    operations,
    orders,
    searches,
    summary,
    what_if,
)
from api.console import pages
from api.directory.areas import AREAS as DIRECTORY_AREAS
from api.draining import Draining
from api.routing import Route, register
from api.services import Once, Services
from api.settings import ApiSettings
from api.short_way import ShortWay
from ledger.directory.permissions import PERMISSIONS

AREAS = (
    money.routes,
    orders.routes,
    searches.routes,
    exports.routes,
    batches.routes,
    balances.routes,
    summary.routes,
    what_if.routes,
    commands.routes,
    events.routes,
    log.routes,
    login.routes,
    operations.routes,
    pages.routes,
    *DIRECTORY_AREAS,
    health.routes,
    openapi.routes,
)
"""Every area of the API."""


class Api(Flask):
    """Flask without its look, at each call, for functions that are coroutines: ours never are."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function."""
        return func


def create_app(environment: Mapping[str, str], *, begin: Callable[[Services], object] = lambda _: None) -> Flask:
    """Return the application; nothing connects before its first request. `begin` is told what each process made.

    Raises ValueError for a route without a known permission, BadSetting.
    """
    app = Api("api", static_folder=None)
    declared: list[Route] = []
    draining = Draining()
    app.extensions["draining"] = draining

    def make() -> Services:
        services = Services(environment, draining)
        services.description = description
        begin(services)
        return services

    once = Once(make)
    app.extensions["services"] = once
    declared += register(app, AREAS, once, PERMISSIONS)
    answers.install(app, once, pages.error_page)
    whole = ShortWay(declared, once, app.wsgi_app)
    proxies = ApiSettings.from_environment(environment).trusted_proxies
    # What a client itself writes in these headers is the leftmost; only what the last proxies added is believed.
    behind = ProxyFix(whole, x_for=proxies, x_proto=proxies, x_host=0) if proxies else whole
    app.wsgi_app = behind  # type: ignore[method-assign, assignment]
    return app


@cache
def description() -> dict[str, Any]:
    """Return the OpenAPI document: the same for every application, and dear to make, so once a process and when asked for.

    Pages are for people: they are no part of the API.
    """
    return openapi.describe([route for area in AREAS if area is not pages.routes for route in area.routes])


def close(app: Flask) -> None:
    """Commit what waits and close what this process opened."""
    services = app.extensions["services"].made()
    if services is not None:
        services.close()
