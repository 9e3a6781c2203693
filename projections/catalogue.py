"""The read models there are, by name, and how each is folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ledger.log import Excerpt
from projections import balances, orders, transactions
from projections.steps import Reader, Step

Fold = Callable[[Sequence[Excerpt], Reader], Step]

FOLDS: Mapping[str, Fold] = {
    balances.NAME: balances.fold,
    orders.NAME: orders.fold,
    transactions.NAME: transactions.fold,
}


def fold_of(name: str) -> Fold:
    """Return the fold of a projection. Raises ValueError for an unknown name."""
    if name not in FOLDS:
        raise ValueError(f"no such projection: {name}")
    return FOLDS[name]
