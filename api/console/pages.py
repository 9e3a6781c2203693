"""The console's pages. Each is a route with its permission, like any other; what it shows its scripts ask from the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, cast
from urllib.parse import quote, urlsplit

import jinja2
from flask import g, request
from marshmallow import EXCLUDE, Schema
from werkzeug.http import dump_cookie

from api.answers import SECURITY_HEADERS
from api.console.words import ENGLISH, LANGUAGES, translations, words
from api.encoding import encode_json
from api.errors import PathNotFound, Unauthenticated
from api.problems import entry_of
from api.routing import LOGGED_IN, PUBLIC, Answer, Call, Routes, View
from api.services import Services
from api.sms.settings import OFF
from ledger.directory.menus import menu_of
from ledger.directory.permissions import PERMISSIONS, ROLES
from ledger.errors import LedgerError
from ledger.events import EVENT_CLASSES
from ledger.money import exponents
from ledger.orders import STATUSES
from ledger.pricing import QUANTITY_MAX
from ledger.webhooks.types import SUBSCRIBABLE

LANGUAGE_COOKIE = "orderledger-language"
LANGUAGE_AGE_S = 365 * 86_400
HTML = "text/html"
PAGE = "page_"
"""What the names of pages' views begin with; their errors are pages too."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "json": "application/json"}
_BOOTSTRAP = "bootstrap.min.css"
_WORDS = "words-"
_SAFE_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

routes = Routes("console")


class AnyQuery(Schema):
    """Whatever stands in a page's address: its script looks at it."""

    class Meta:
        """Take it as it is."""

        unknown = EXCLUDE


def page(path: str, template: str, permission: Any, title: str) -> None:
    """Declare a page that needs nothing but its template."""

    def view(call: Call) -> Answer:
        return rendered(call, template)

    name = re.sub(r"<\w+:\w+>", "one", path.strip("/")).replace("/", "_")
    view.__name__ = f"{PAGE}{name.replace('-', '_')}"
    declared(path, permission, title)(view)


def declared(path: str, permission: Any, summary: str) -> Callable[[View], View]:
    """Declare a page's route."""
    return routes.get(
        path, permission=permission, summary=summary, query=AnyQuery(), answers={200: None}, media_types=(HTML,)
    )


@routes.get(
    "/",
    permission=LOGGED_IN,
    summary="The first page of whoever is logged in.",
    answers={200: None},
    media_types=(HTML,),
)
def page_start(call: Call) -> Answer:
    """Show customers their account, staff the dashboard, and others the first page that they may see."""
    if call.asker.customer_id is not None:
        return rendered(call, "home.html")
    if "trial_balance.read" in call.asker.permissions:
        return rendered(call, "dashboard.html")
    menu = menu_of(call.asker.permissions, is_customer=False, own=call.asker.menu)
    pages = [each for entry in menu for each in (entry, *entry["children"]) if each["path"]]
    return Answer(303, "", {"Location": pages[0]["path"] if pages else "/account"}, HTML)


page("/customers", "customers.html", "customers.read", "Customers.")
page("/customers/<token:id>/statement", "statement.html", "statements.read", "A customer's statement.")
page("/customers/<token:id>", "customer.html", "customers.read", "One customer: its account, orders and statement.")
page("/orders", "orders.html", "orders.read", "Orders, by any combination of filters.")
page("/orders/<token:id>", "order.html", "orders.read", "One order with everything that happened to it.")
page("/transactions", "transactions.html", "transactions.read", "What moved money.")
page("/statement", "statement.html", "statements.read", "One's own statement.")
page("/levels", "levels.html", "levels.read", "Levels and what they pay.")
page("/products", "products.html", "products.read", "Products and their prices.")
page("/events", "events.html", "events.read", "The log, event by event.")
page("/events/<position:position>", "event.html", "events.read", "One event, whole, and its neighbours.")
page("/balances", "balances.html", "balances.read", "A customer's balance at any time of the past.")
page("/trial-balance", "trial_balance.html", "trial_balance.read", "Every ledger account; each currency sums to zero.")
page("/proofs", "proofs.html", "log.read", "Signed checkpoints, verification, and the proof of an event.")
page("/what-if", "what_if.html", "trial_balance.read", "What other percentages or prices would have changed.")
page("/users", "users.html", "users.read", "Users.")
page("/roles", "roles.html", "roles.read", "Roles and what they permit.")
page("/roles/<token:id>/menu", "menu.html", "roles.read", "A role's menu.")
page("/api-keys", "api_keys.html", "api_keys.read", "Keys of machine clients.")
page("/webhooks", "webhooks.html", "webhooks.read", "Subscriptions to events.")
page("/webhooks/<token:id>", "webhook.html", "webhooks.read", "One subscription: its state, its deliveries, replay.")
page("/queues", "queues.html", "operations.read", "Queues and workers.")
page("/doctor", "doctor.html", "operations.read", "Whether settings and servers are safe.")
page("/place", "place.html", "orders.place", "Place an order, with its price shown before.")
page("/account", "account.html", LOGGED_IN, "One's password, language and sessions.")


@declared("/login", PUBLIC, "Log in.")
def page_login(call: Call) -> Answer:
    """Show the login form."""
    has_codes = _services(call).sms_settings.sms_provider != OFF
    return rendered(call, "login.html", has_codes=has_codes)


@declared("/language/<token:language>", PUBLIC, "Show the console in another language.")
def page_language(call: Call) -> Answer:
    """Remember the language in a cookie and go back to where one was."""
    language = call.path["language"]
    if language not in LANGUAGES:
        raise PathNotFound()
    secure = _services(call).session_settings.session_cookie_secure
    cookie = dump_cookie(
        LANGUAGE_COOKIE, language, max_age=LANGUAGE_AGE_S, secure=secure, samesite="Lax", httponly=True
    )
    came_from = urlsplit(request.headers.get("Referer", ""))
    back = came_from.path + (f"?{came_from.query}" if came_from.query else "")
    is_ours = came_from.netloc == request.host
    return Answer(303, "", {"Location": safe_path(back) if is_ours else "/", "Set-Cookie": cookie}, HTML)


@routes.get(
    "/console/<token:name>",
    permission=PUBLIC,
    summary="The console's scripts, styles and words.",
    answers={200: None},
    media_types=("text/javascript", "text/css", "image/svg+xml", "application/json"),
)
def console_asset(call: Call) -> Answer:
    """Return a file of the console."""
    name = call.path["name"]
    content, etag = _asset(name)
    headers = {**_asset_headers(), "ETag": etag}
    if request.headers.get("If-None-Match") == etag:
        return Answer(304, "", headers)
    return Answer(200, content, headers, _MEDIA_TYPES[name.rpartition(".")[2]])


def rendered(call: Call, template: str, status: int = 200, **more: Any) -> Answer:
    """Return a page in the asker's language."""
    language = language_of()
    session, asker = g.get("session"), call.principal
    permissions = frozenset() if asker is None else asker.permissions
    content = (
        _environment(language)
        .get_template(template)
        .render(
            language=language,
            languages=LANGUAGES,
            path=request.path,
            id=call.path.get("id"),
            position=call.path.get("position"),
            person=None if session is None else session.person,
            has_password=session is None or session.person.has_password,
            csrf_token="" if session is None else session.record.csrf,
            customer_id=None if asker is None else asker.customer_id,
            may=permissions.__contains__,
            role=None if asker is None else asker.role,
            menu=[]
            if asker is None
            else menu_of(permissions, is_customer=asker.customer_id is not None, own=asker.menu),
            currency=_services(call).default_currency.code,
            statuses=STATUSES,
            event_types=[(each, each) for each in EVENT_CLASSES],
            message_types=SUBSCRIBABLE,
            all_permissions=PERMISSIONS,
            builtin_roles=tuple(ROLES),
            quantity_max=QUANTITY_MAX,
            exponents=exponents,
            **more,
        )
    )
    headers = {
        **SECURITY_HEADERS,
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        # Choosing a language leads back to the page one comes from.
        "Referrer-Policy": "same-origin",
        "Vary": "Cookie, Accept-Language",
    }
    return Answer(status, content, headers, HTML)


def error_page(error: LedgerError, call: Call) -> Answer | None:
    """Return the page of an error that a page met, None when it was no page that met it."""
    is_page = (request.endpoint or "").startswith(PAGE)
    is_nowhere = request.endpoint is None and not request.path.startswith("/v1/")
    if not is_page and not (is_nowhere and request.accept_mimetypes.accept_html and "Accept" in request.headers):
        return None
    if isinstance(error, Unauthenticated):
        where = request.full_path.rstrip("?")
        return Answer(303, "", {"Location": f"/login?next={quote(where)}" if where != "/" else "/login"}, HTML)
    entry = entry_of(error)
    return rendered(call, "error.html", entry.status, error_status=entry.status, request_id=call.request_id)


def language_of() -> str:
    """Return the language that the asker chose, or has, or that its browser wants."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    session = g.get("session")
    stored = None if session is None else session.person.locale
    for each in (chosen, stored):
        if each in LANGUAGES:
            return cast(str, each)
    return request.accept_languages.best_match(list(LANGUAGES)) or ENGLISH


def safe_path(text: str) -> str:
    """Return a path of this host, `/` for anything that leads elsewhere."""
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc and _SAFE_PATH.fullmatch(text) else "/"


@cache
def _environment(language: str) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("api.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = translations(language)
    install: Callable[..., None] = made.install_gettext_translations  # type: ignore[attr-defined]
    # The old style: the new one takes a percent sign for a place to fill in.
    install(found, newstyle=False)
    made.globals["label"] = lambda item: item["label"][language]
    return made


@cache
def _asset(name: str) -> tuple[bytes, str]:
    """Return a file, or a language's words as JSON, and its ETag. Raises PathNotFound."""
    language = name.removeprefix(_WORDS).removesuffix(".json")
    if name == f"{_WORDS}{language}.json" and language in LANGUAGES:
        return _with_etag(encode_json(words(language)))
    if name == _BOOTSTRAP:
        file = files("flask_bootstrap") / "static" / "bootstrap5" / "css" / name
    else:
        file = files("api.console") / "static" / name
    if name.rpartition(".")[2] not in _MEDIA_TYPES or not file.is_file():
        raise PathNotFound()
    return _with_etag(file.read_bytes())


def _with_etag(content: bytes) -> tuple[bytes, str]:
    return content, f'"{sha256(content).hexdigest()[:20]}"'


def _asset_headers() -> Mapping[str, str]:
    return {**SECURITY_HEADERS, "Cache-Control": "no-cache"}


def _services(call: Call) -> Services:
    return cast(Services, call.services)
