"""Subscriptions over HTTP. A secret is answered once, when it is made or renewed.

They are the staff's: a subscription makes the service call an address, so whoever is bound to one customer has none.
Staff subscribe for a customer with its `customer_id`. Messages hold what the feed holds, so nobody subscribes who may
not read the feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import redis

from api.authentication import ensure_all_permitted
from api.directory.findings import Rules
from api.directory.lists import answer_schema, list_schema, read_page
from api.directory.resources import Content, Resource, routes
from api.directory.services import services_of
from api.directory.webhook_schemas import (
    DeliveryShown,
    Nothing,
    PingAnswer,
    ReplayContents,
    SecretAnswer,
    WebhookChanges,
    WebhookContents,
    WebhookCreated,
    WebhookShown,
)
from api.errors import FieldError, InvalidFields
from api.routing import Answer, Call
from ledger import log
from ledger.directory import deliveries, webhooks
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Customer
from ledger.reading import read as read_log
from ledger.webhooks.urls import url_problem
from projections.wake import WEBHOOKS, wake

FEED = frozenset({"events.read"})


def _listed(call: Call, query: ListQuery) -> Page:
    return webhooks.listed(services_of(call).directory, query, head=_head(call))


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ensure_all_permitted(call.asker, FEED)
    is_one = isinstance(call.body, dict)
    for index, each in enumerate(contents):
        _ensure_url(call, each, "" if is_one else f"/{index}")
    made = webhooks.create(services_of(call).directory, contents, head=_head(call))
    return [{**shown, "secret": secret} for shown, secret in made]


def _read(call: Call, webhook_id: str) -> dict[str, Any]:
    return webhooks.read(services_of(call).directory, webhook_id, head=_head(call))


def _change(call: Call, webhook_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    ensure_all_permitted(call.asker, FEED)
    _ensure_url(call, changes, "")
    changed = webhooks.change(services_of(call).directory, webhook_id, changes, head=_head(call), revision=revision)
    _wake(call)
    return changed


def _delete(call: Call, webhook_id: str, revision: int | None) -> None:
    webhooks.delete(services_of(call).directory, webhook_id, revision=revision)


def _wake(call: Call) -> None:
    with suppress(redis.RedisError):
        # The courier finds what is due without a wake-up, too, only later.
        wake(services_of(call).queue_redis, WEBHOOKS)


def _head(call: Call) -> int:
    return read_log(services_of(call).engine, log.head).position


def _ensure_url(call: Call, content: Mapping[str, Any], at: str) -> None:
    if "url" not in content:
        return
    problem = url_problem(content["url"], allow_private=services_of(call).webhook_settings.allow_private)
    if problem is not None:
        raise InvalidFields(errors=[FieldError(pointer=f"{at}/url", detail=problem)])


RESOURCE = Resource(
    singular="webhook",
    plural="webhooks",
    path="/v1/webhooks",
    kind=webhooks.KIND,
    may_read="webhooks.read",
    may_write="webhooks.write",
    may_delete="webhooks.write",
    listing=webhooks.LISTING,
    listed=_listed,
    shown=WebhookShown(),
    created=WebhookCreated(),
    contents=WebhookContents,
    changes=WebhookChanges(partial=True),
    rules=Rules(kind=webhooks.KIND, references={"customer_id": Customer.id}),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
    owner="customer_id",
)
ROUTES = routes(RESOURCE)


@ROUTES.get(
    "/v1/webhooks/<token:id>/deliveries",
    permission="webhooks.read",
    summary="The last attempts to deliver a subscription's messages: filter, order, page.",
    query=list_schema("deliveries", deliveries.LISTING),
    answers={200: answer_schema("deliveries", DeliveryShown(), paged=True)},
    errors=(404, 422),
)
def list_deliveries(call: Call) -> Answer:
    """List attempts."""

    def listed(call: Call, query: ListQuery) -> Page:
        return deliveries.listed(services_of(call).directory, call.path["id"], query)

    return Answer(200, read_page(deliveries.LISTING, listed, call))


@ROUTES.post(
    "/v1/webhooks/<token:id>/replay",
    permission="webhooks.write",
    summary="Let a subscription go on with the event at a position, earlier or later than where it is.",
    body=ReplayContents(),
    answers={200: WebhookShown()},
    errors=(404, 422),
)
def replay_webhook(call: Call) -> Answer:
    """Set the position."""
    ensure_all_permitted(call.asker, FEED)
    from_position = call.body["from_position"]
    replayed = webhooks.replay(services_of(call).directory, call.path["id"], from_position, head=_head(call))
    _wake(call)
    return Answer(200, replayed)


@ROUTES.post(
    "/v1/webhooks/<token:id>/test",
    permission="webhooks.write",
    summary="Have a signed `ping` sent; what came of it is among the deliveries.",
    body=Nothing(),
    answers={202: PingAnswer()},
    errors=(404,),
)
def test_webhook(call: Call) -> Answer:
    """Ask for a ping."""
    message_id = webhooks.ask_for_ping(services_of(call).directory, call.path["id"])
    _wake(call)
    return Answer(202, {"message_id": message_id})


@ROUTES.post(
    "/v1/webhooks/<token:id>/secret",
    permission="webhooks.write",
    summary="Renew a subscription's secret; the one before signs too for a while.",
    body=Nothing(),
    answers={200: SecretAnswer()},
    errors=(404,),
)
def rotate_webhook_secret(call: Call) -> Answer:
    """Renew the secret."""
    services = services_of(call)
    shown, secret = webhooks.rotate_secret(
        services.directory,
        call.path["id"],
        overlap_s=services.webhook_settings.secret_overlap_s,
        head=_head(call),
    )
    return Answer(200, {**shown, "secret": secret})


@ROUTES.post(
    "/v1/webhooks/<token:id>/enable",
    permission="webhooks.write",
    summary="Let a subscription that is paused or disabled go on from where it was.",
    body=Nothing(),
    answers={200: WebhookShown()},
    errors=(404,),
)
def enable_webhook(call: Call) -> Answer:
    """Enable it."""
    ensure_all_permitted(call.asker, FEED)
    enabled = webhooks.enable(services_of(call).directory, call.path["id"], head=_head(call))
    _wake(call)
    return Answer(200, enabled)
