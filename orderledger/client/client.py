"""The client: one object for all threads of a program, with a method for each thing one asks a ledger."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from orderledger.client import batches, feed
from orderledger.client.amounts import encode
from orderledger.client.answers import Balance, BatchResult, Event, Order, Posted, Statement, Transaction
from orderledger.client.commands import Amount, Cancel, Command, Deduct, PlaceOrder, Recharge, Reverse
from orderledger.client.connections import Reply
from orderledger.client.directory import Resource, pages
from orderledger.client.errors import NotFound, error_of, error_of_problem
from orderledger.client.keys import key_or_new
from orderledger.client.sending import Request, Sender

TIMEOUT_S = 10.0
GIVE_UP_S = 60.0
REPLAYED = "Idempotent-Replayed"


class Client:
    """A client of a ledger's API at one URL, or at several that serve the same ledger. Thread-safe.

    A command's key is made once, or given, and kept over retries; `timeout_s` is the whole time a call may take, with all
    its retries. With `reads_own_writes` every read reflects at least the highest position that this client has seen.
    Every method may raise the errors of orderledger.client.errors.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        api_key: str,
        timeout_s: float = TIMEOUT_S,
        reads_own_writes: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        given = [urls] if isinstance(urls, str) else list(urls)
        if not given:
            raise ValueError("a client needs a URL")
        headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._sender = Sender(given, headers, timeout_s=timeout_s, reads_own_writes=reads_own_writes, tls=tls)
        self.customers = Resource(self._send, "/v1/customers")
        self.levels = Resource(self._send, "/v1/levels")
        self.products = Resource(self._send, "/v1/products")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._sender.connections.close()

    @property
    def position(self) -> int:
        """The highest position that this client has seen."""
        return self._sender.position

    # -- commands --

    def recharge(
        self,
        customer_id: str,
        amount: Amount,
        *,
        reference: str | None = None,
        memo: str | None = None,
        key: str | None = None,
        dry_run: bool = False,
    ) -> Posted:
        """Add money to a customer's account."""
        command = Recharge(customer_id=customer_id, amount=amount, reference=reference, memo=memo, key=key_or_new(key))
        return self._post(command, dry_run=dry_run)

    def deduct(
        self,
        customer_id: str,
        amount: Amount,
        *,
        reference: str | None = None,
        memo: str | None = None,
        key: str | None = None,
        dry_run: bool = False,
    ) -> Posted:
        """Take money from a customer's account."""
        command = Deduct(customer_id=customer_id, amount=amount, reference=reference, memo=memo, key=key_or_new(key))
        return self._post(command, dry_run=dry_run)

    def place_order(
        self,
        product: str,
        quantity: int,
        *,
        customer_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        reference: str | None = None,
        key: str | None = None,
        dry_run: bool = False,
    ) -> Posted:
        """Place an order of a product, named by its sku."""
        command = PlaceOrder(
            product=product,
            quantity=quantity,
            customer_id=customer_id,
            params=params,
            reference=reference,
            key=key_or_new(key),
        )
        return self._post(command, dry_run=dry_run)

    def cancel(
        self, order_id: str, *, reason: str | None = None, key: str | None = None, dry_run: bool = False
    ) -> Posted:
        """Cancel an order.

        Of one that is being executed the executor is asked; OutcomeUnknown when it has not answered within the deadline.
        """
        return self._post(Cancel(order_id=order_id, reason=reason, key=key_or_new(key)), dry_run=dry_run)

    def reverse(self, position: int, reason: str, *, key: str | None = None, dry_run: bool = False) -> Posted:
        """Reverse the recharge or deduction at a position."""
        return self._post(Reverse(position=position, reason=reason, key=key_or_new(key)), dry_run=dry_run)

    def post(self, command: Command) -> Posted:
        """Post a command that was made before; its key makes it the same command however often it is posted."""
        return self._post(command, dry_run=False)

    def batch(self, commands: Sequence[Command], *, atomic: bool = False, dry_run: bool = False) -> list[BatchResult]:
        """Post up to 10,000 commands and return a result for each, in order; atomic: all or none."""
        return batches.post_list(self._send, commands, atomic=atomic, dry_run=dry_run)

    def stream(self, commands: Iterable[Command]) -> Iterator[BatchResult]:
        """Post commands as they come, any number, and yield a result for each, in order; memory stays constant.

        Raises Unavailable or OutcomeUnknown behind results that are not definite at the deadline, and sends no more.
        """
        return batches.post_stream(self._send, commands, timeout_s=self._sender.timeout_s)

    def outcome(self, key: str) -> Posted | None:
        """Return what one's own command with this key led to; None when nothing is stored (yet). Raises its refusal."""
        target = f"/v1/commands/{quote(key, safe='')}"
        try:
            # An outcome stays what it is, and has the position of then.
            reply = self._send(Request(method="GET", target=target, is_read=True, is_of_any_age=True))
        except NotFound:
            return None
        match json.loads(reply.body):
            case {"status": "accepted", "result": result}:
                return Posted.of(result, key=key, replayed=True)
            case {"status": "refused", "problem": problem}:
                raise error_of_problem(problem, status=problem["status"], key=key)
            case _:
                return None

    # -- reads --

    def balance(self, customer_id: str, *, at_position: int | None = None, as_of: datetime | None = None) -> Balance:
        """Return a customer's balance, now or at a moment of the past."""
        return Balance.of(self._read(_of(customer_id, "balance"), at_position=at_position, as_of=_time(as_of)))

    def statement(self, customer_id: str, *, start: datetime | None = None, end: datetime | None = None) -> Statement:
        """Return what moved money on an account between two moments."""
        asked = {"from": _time(start), "to": _time(end)}
        return Statement.of(self._read(_of(customer_id, "statement"), **asked))

    def order(self, order_id: str) -> Order:
        """Return an order with its parameters and events."""
        return Order.of(self._read(f"/v1/orders/{quote(order_id, safe='')}"))

    def orders(self, **filters: Any) -> Iterator[Order]:
        """Iterate over the orders that a search finds, page by page; the filters are those of GET /v1/orders."""
        return map(Order.of, pages(self._send, "/v1/orders", filters))

    def transactions(self, **filters: Any) -> Iterator[Transaction]:
        """Iterate over the transactions that a search finds; the filters are those of GET /v1/transactions."""
        return map(Transaction.of, pages(self._send, "/v1/transactions", filters))

    def events(self, after: int = 0, *, type: str | None = None, customer_id: str | None = None) -> Iterator[Event]:
        """Iterate over the events after a position to the end of the log."""
        return feed.read_events(self._sender, self._send, after, _asked(type=type, customer_id=customer_id))

    def follow(
        self,
        after: int = 0,
        *,
        type: str | None = None,
        customer_id: str | None = None,
        poll_s: float | None = None,
        give_up_s: float = GIVE_UP_S,
    ) -> Iterator[Event]:
        """Iterate over the events after a position, and over new ones as they come, without an end.

        By server-sent events, or by asking every `poll_s`. A broken stream goes on where it was; the position of the last
        event is what to keep for going on another time.
        """
        asked = _asked(type=type, customer_id=customer_id)
        if poll_s is not None:
            return feed.poll_events(self._sender, self._send, after, asked, interval_s=poll_s)
        return feed.follow_events(self._sender, after, asked, give_up_s=give_up_s)

    # -- how --

    def _post(self, command: Command | Reverse, *, dry_run: bool) -> Posted:
        target = command.path() + ("?dry_run=true" if dry_run else "")
        body = encode(command.body())
        reply = self._send(Request(method="POST", target=target, body=body, key=command.key, is_dry_run=dry_run))
        return Posted.of(json.loads(reply.body), key=command.key, replayed=reply.headers.get(REPLAYED) == "true")

    def _read(self, path: str, **asked: Any) -> dict[str, Any]:
        query = urlencode(_asked(**asked))
        target = f"{path}?{query}" if query else path
        found: dict[str, Any] = json.loads(self._send(Request(method="GET", target=target, is_read=True)).body)
        return found

    def _send(self, request: Request) -> Reply:
        reply = self._sender.send(request)
        if reply.status >= 400:
            raise error_of(reply.status, reply.body, key=request.key)
        return reply


def _of(customer_id: str, what: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}/{what}"


def _asked(**given: Any) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}


def _time(moment: datetime | None) -> str | None:
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return None if moment is None else moment.isoformat()
