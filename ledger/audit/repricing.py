"""What orders would have cost at other prices: a fold of the log beside what happened.

Nothing else is taken to be otherwise: the same orders are placed, delivered and cancelled, whatever they cost. An order
that the ledger would have refused for its amount, zero or too large, counts with nothing. Only accounts and open orders
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.money import AMOUNT_MINOR_MAX, currency
from ledger.pricing import Tier, partial_capture, price, unit_price_at

TERM_TYPES = frozenset({"account.opened", "account.level_changed", "account.credit_limit_changed"})
"""Events that say at which level and with which credit an account goes on."""
PLACED_TYPE = "order.placed"
_END_TYPES = frozenset({"order.completed", "order.failed", "order.cancelled", "order.resolved"})
TOLD_TYPES = TERM_TYPES | {PLACED_TYPE} | _END_TYPES
"""Events whose data the fold looks at."""
TYPES = TOLD_TYPES | {"recharge.posted", "deduction.posted", "transaction.reversed"}
"""Events that the fold takes; others move no money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """Other prices for the orders placed at positions from `first` to `last` (None: the end of the log).

    `levels`: level id to percentage, for orders placed while the account was at that level; `discounts`: percentage
    placed at to another one, where no level says it; `prices`: product to unit prices, an order that reaches none keeps
    its own.
    """

    discounts: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Sequence[Tier]] = field(default_factory=dict)
    first: int = 1
    last: int | None = None

    def covers(self, position: int) -> bool:
        """Say whether an order placed at the position is repriced at all."""
        return self.first <= position and (self.last is None or position <= self.last)

    def amount_minor(self, placed: Mapping[str, Any], level_id: str | None) -> int | None:
        """Return what an order would have cost, zero when it would have been refused; None when no rule is about it.

        `placed`: the data of order.placed.
        """
        tiers, percent = self.prices.get(placed["product"]), placed["discount_percent"]
        other = self.levels.get(level_id) if level_id is not None else None
        if other is None:
            other = self.discounts.get(percent)
        if tiers is None and other is None:
            return None
        quantity = placed["quantity"]
        unit_price = unit_price_at(placed["unit_price"], tiers or (), quantity)
        cost = price(unit_price, (), quantity, percent if other is None else other, currency(placed["currency"]))
        return cost.amount_minor if cost.list_amount_minor <= AMOUNT_MINOR_MAX else 0


@dataclass(slots=True, kw_only=True)
class Effect:
    """Repriced orders of one account, or of a currency: amounts as they were, and (`…_if_…`) as they would have been.

    `refused`: orders that would have cost nothing or too much. `short`: orders, repriced or not, for which there would
    not have been money and credit enough; `short_position`: where there first was not, whatever took the money.
    """

    currency: str
    orders: int = 0
    placed_minor: int = 0
    placed_if_minor: int = 0
    captured_minor: int = 0
    captured_if_minor: int = 0
    held_minor: int = 0
    held_if_minor: int = 0
    refused: int = 0
    short: int = 0
    short_position: int | None = None

    @property
    def available_shift_minor(self) -> int:
        """How much more would be available."""
        return self.captured_minor + self.held_minor - self.captured_if_minor - self.held_if_minor


@dataclass(slots=True)
class _Account:
    currency: str
    level_id: str | None
    credit_limit_minor: int
    effect: Effect | None = None


class WhatIf:
    """The fold so far; `effects` of the accounts that have repriced orders, by account id."""

    def __init__(self, repricing: Repricing) -> None:
        self._repricing = repricing
        self._accounts: dict[str, _Account] = {}
        self._open: dict[str, tuple[int, int, int]] = {}
        """Amount, amount as it would have been, and quantity, by order id."""

    @property
    def effects(self) -> dict[str, Effect]:
        """What the prices would have changed, by account id."""
        return {name: each.effect for name, each in self._accounts.items() if each.effect is not None}

    def take(
        self,
        position: int,
        account_id: str,
        type_name: str,
        order_id: str | None,
        available_minor: int,
        content: Mapping[str, Any],
    ) -> None:
        """Go on by an event, in the order of the log, from the opening of its account on; those of TYPES are enough.

        `available_minor` is the account's after the event; `content` its data, empty unless it is of TOLD_TYPES.
        """
        if type_name == "account.opened":
            self._accounts[account_id] = _Account(
                content["currency"], content.get("level_id"), content["credit_limit_minor"]
            )
            return
        account = self._accounts[account_id]
        if type_name == "account.level_changed":
            account.level_id = content.get("level_id")
            return
        if type_name == "account.credit_limit_changed":
            account.credit_limit_minor = content["credit_limit_minor"]
        elif type_name == PLACED_TYPE:
            if self._repricing.covers(position):
                self._place(account, order_id or "", content)
        elif type_name in _END_TYPES and order_id in self._open:
            self._end(account, self._open.pop(order_id), content.get("delivered", 0))
        effect = account.effect
        if effect is not None and available_minor + effect.available_shift_minor < -account.credit_limit_minor:
            effect.short += type_name == PLACED_TYPE
            if effect.short_position is None:
                effect.short_position = position

    def _place(self, account: _Account, order_id: str, content: Mapping[str, Any]) -> None:
        amount_if = self._repricing.amount_minor(content, account.level_id)
        if amount_if is None:
            return
        if account.effect is None:
            account.effect = Effect(currency=account.currency)
        effect, amount = account.effect, content["amount_minor"]
        self._open[order_id] = (amount, amount_if, content["quantity"])
        effect.orders += 1
        effect.refused += amount_if == 0
        effect.placed_minor += amount
        effect.placed_if_minor += amount_if
        effect.held_minor += amount
        effect.held_if_minor += amount_if

    def _end(self, account: _Account, order: tuple[int, int, int], delivered: int) -> None:
        effect = account.effect
        if effect is None:
            return
        amount, amount_if, quantity = order
        effect.held_minor -= amount
        effect.held_if_minor -= amount_if
        effect.captured_minor += partial_capture(amount, delivered, quantity)
        effect.captured_if_minor += partial_capture(amount_if, delivered, quantity)


def sums(effects: Iterable[Effect]) -> dict[str, Effect]:
    """Return the sum of effects by currency; its `short_position` is the first of any account."""
    found: dict[str, Effect] = {}
    for each in effects:
        total = found.setdefault(each.currency, Effect(currency=each.currency))
        for name in _ADDED:
            setattr(total, name, getattr(total, name) + getattr(each, name))
        positions = [place for place in (total.short_position, each.short_position) if place is not None]
        total.short_position = min(positions, default=None)
    return found


_ADDED = (
    "orders", "placed_minor", "placed_if_minor", "captured_minor", "captured_if_minor", "held_minor", "held_if_minor",
    "refused", "short",
)  # fmt: skip
