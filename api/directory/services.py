"""What a request of the directory's routes works with."""

from __future__ import annotations

from typing import cast

from api.routing import Call
from api.services import Services
from ledger.directory.customers import Asker


def services_of(call: Call) -> Services:
    """Return the services of a request."""
    return cast(Services, call.services)


def asker_of(call: Call) -> Asker:
    """Return who asks, as the commands that follow will say it."""
    return Asker(actor=call.asker.id, correlation_id=call.request_id)
