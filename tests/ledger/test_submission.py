"""What a submission is recognised by, which is stored for ever and must never change."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import canonical_json
from ledger.commands import CancelOrder, Deduct, PlaceOrder, ProductTerms, ReverseTransaction, Suspend
from ledger.pricing import Tier
from submissions import submission

TERMS = ProductTerms(
    sku="s",
    unit_price="1",
    tiers=(Tier(from_quantity=2, unit_price="1"),),
    quantity_min=1,
    quantity_max=9,
    currency="CNY",
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))


@given(reference=st.none() | TEXTS, memo=st.none() | TEXTS, amount_minor=st.integers(1, 10**15))
def test_a_fingerprint_is_over_the_canonical_json_of_what_was_asked_but_not_of_what_can_be_erased(
    reference: str | None, memo: str | None, amount_minor: int
) -> None:
    command = Deduct(account_id="cus_1", amount_minor=amount_minor, currency="CNY", reference=reference)
    details = None if memo is None else {"memo": memo}
    asked = {
        "kind": "deduction",
        "account_id": "cus_1",
        "amount_minor": amount_minor,
        "currency": "CNY",
        "reference": reference,
    }

    wanted = submission(command, details=details)

    assert wanted.fingerprint() == sha256(canonical_json([asked, None])).digest()
    assert wanted.fingerprint_with_details() == sha256(canonical_json([asked, details])).digest()


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (Suspend(account_id="cus_1"), {"kind": "suspend", "account_id": "cus_1"}),
        (
            PlaceOrder(account_id="cus_1", product="s", quantity=2, order_id="ord_1", terms=TERMS),
            {"kind": "order", "account_id": "cus_1", "product": "s", "quantity": 2, "reference": None},
        ),
        (CancelOrder(order_id="ord_1", confirmed_attempt=1), {"kind": "cancellation", "order_id": "ord_1"}),
        (
            ReverseTransaction(reverses_position=7, account_id="cus_1", signed_amount_minor=5),
            {"kind": "reversal", "reverses_position": 7},
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_facts_are_no_part_of_what_was_asked(command: Suspend, asked: dict[str, object]) -> None:
    assert submission(command).fingerprint() == sha256(canonical_json([asked, None])).digest()
