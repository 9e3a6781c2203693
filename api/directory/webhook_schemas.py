"""The schemas of subscriptions and their deliveries."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.directory.fields import Contents, Flag, OneOf, StrictSchema, Text, Token, WholeNumber
from api.directory.schemas import NAME_LENGTH_MAX, Shown
from ledger.directory.webhooks import DELIVERING, DISABLED, FAILED_TOO_LONG, FAILING, GONE, PAUSED
from ledger.money import BALANCE_MINOR_MAX
from ledger.schema import ID_LENGTH
from ledger.webhooks.types import SUBSCRIBABLE
from ledger.webhooks.urls import LENGTH_MAX

POSITION_MAX = BALANCE_MINOR_MAX
"""What every JSON reader keeps exactly."""


class WebhookChanges(Contents):
    """What may change of a subscription; whose events it gets stays."""

    url = Text(LENGTH_MAX, required=True)
    description = Text(NAME_LENGTH_MAX, allow_none=True)
    event_types = fields.List(OneOf(*SUBSCRIBABLE), validate=validate.Length(max=len(SUBSCRIBABLE)))
    active = Flag()


class WebhookContents(WebhookChanges):
    """A new subscription; without event types it gets all, with a customer that customer's."""

    customer_id = Token(ID_LENGTH, allow_none=True)


class WebhookShown(Shown):
    """A subscription, without its secret."""

    url = fields.String()
    description = fields.String(allow_none=True)
    event_types = fields.List(fields.String())
    customer_id = fields.String(allow_none=True)
    active = fields.Boolean()
    state = fields.String(metadata={"enum": [DELIVERING, FAILING, PAUSED, DISABLED]})
    position = fields.Integer()
    lag_events = fields.Integer()
    failures = fields.Integer()
    failing_since = fields.String(allow_none=True, metadata={"format": "date-time"})
    last_code = fields.String(allow_none=True)
    next_try_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    last_delivered_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    disabled_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    disabled_reason = fields.String(allow_none=True, metadata={"enum": [GONE, FAILED_TOO_LONG, None]})
    previous_secret_until = fields.String(allow_none=True, metadata={"format": "date-time"})


class WebhookCreated(WebhookShown):
    """A new subscription with its secret, shown this once."""

    secret = fields.String()


class SecretAnswer(WebhookCreated):
    """The subscription with its new secret, shown this once."""


class Nothing(StrictSchema):
    """An empty object."""


class ReplayContents(StrictSchema):
    """With which event to go on."""

    from_position = WholeNumber(1, POSITION_MAX, required=True)


class PingAnswer(Schema):
    """The id of the message that will be sent."""

    message_id = fields.String()


class DeliveryShown(Schema):
    """One attempt: `code` is `delivered`, or says what went wrong."""

    id = fields.String()
    message_id = fields.String()
    type = fields.String()
    position = fields.Integer(allow_none=True)
    attempt = fields.Integer()
    code = fields.String()
    status = fields.Integer(allow_none=True)
    duration_ms = fields.Integer()
    attempted_at = fields.String(metadata={"format": "date-time"})
    next_try_at = fields.String(allow_none=True, metadata={"format": "date-time"})
