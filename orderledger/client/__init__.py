"""A client of the HTTP API: commands whose keys are kept over retries, reads that see what was written, iterators.

It imports nothing of the server and nothing beyond the standard library, so that a program which only talks to a ledger
starts quickly. See docs/client.md.
"""

from orderledger.client.amounts import AmountRefused
from orderledger.client.answers import (
    Balance,
    BatchResult,
    Event,
    Order,
    Posted,
    Statement,
    StatementLine,
    Transaction,
)
from orderledger.client.client import Client
from orderledger.client.commands import Cancel, Command, Deduct, PlaceOrder, Recharge
from orderledger.client.errors import (
    ClientError,
    FieldProblem,
    Forbidden,
    NotFound,
    NotFreshEnough,
    OutcomeUnknown,
    Refused,
    ServerFault,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from orderledger.client.keys import new_key

__all__ = [
    "Client",
    "Recharge",
    "Deduct",
    "PlaceOrder",
    "Cancel",
    "Command",
    "Posted",
    "Balance",
    "Order",
    "Transaction",
    "Statement",
    "StatementLine",
    "Event",
    "BatchResult",
    "ClientError",
    "Refused",
    "NotFound",
    "Unauthenticated",
    "Forbidden",
    "Unavailable",
    "TooManyRequests",
    "NotFreshEnough",
    "OutcomeUnknown",
    "ServerFault",
    "FieldProblem",
    "AmountRefused",
    "new_key",
]
