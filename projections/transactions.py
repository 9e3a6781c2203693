"""The transactions read model: every event that moved money, with the balance after it, found by customer, type, order,
reference, time and amount; see projections.transaction_layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import JSONDecoder
from typing import Any

from ledger import codec, postings
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES
from ledger.log import Excerpt
from projections import transaction_layout
from projections.activity import Tally
from projections.order_documents import ACCOUNT_PREFIX, folded, shortened
from projections.steps import Reader, Step, Unappliable
from projections.transaction_documents import SIGNS, TYPE_CODES, Transaction, encode

__all__ = ["NAME", "TYPES", "Transaction", "fold"]

NAME = "transactions"
TYPES = tuple(TYPE_CODES)
"""The types of events that move money."""
_parse = JSONDecoder().raw_decode


def fold(events: Sequence[Excerpt], reader: Reader) -> Step:
    """Return what the events change. Raises Unappliable."""
    count = reader.recent.get(transaction_layout.COUNT)
    if count is None:
        count = int(reader.fields([transaction_layout.COUNT])[0] or 0)
    step, tally = Step(), Tally()
    for each in events:
        code = TYPE_CODES.get(each.type)
        if code is not None:
            count += 1
            _write(step, tally, each, code, count)
        elif each.type not in EVENT_CLASSES:
            raise Unappliable(each.position, "its type is unknown")
    tally.write(step)
    step.put(*transaction_layout.COUNT, str(count))
    step.noted[transaction_layout.COUNT] = count
    return step


def _write(step: Step, tally: Tally, event: Excerpt, code: str, number: int) -> None:
    try:
        content = codec.content(event.type, event.schema_version, event.data)
        reference, reverses = content.get("reference"), content.get("reverses_position")
        available_minor, held_minor, currency = _moved(event, code, content)
        line = encode(event, available_minor, held_minor, currency, reference, reverses)
    except (CorruptLog, LookupError, TypeError, ValueError):
        raise Unappliable(event.position, "its data cannot be read") from None
    tally.add(event.recorded_at_us, currency, code, available_minor, held_minor)
    text = str(number)
    step.push(transaction_layout.document(number), line)
    step.push(transaction_layout.of_account(shortened(event.account_id, ACCOUNT_PREFIX)), text)
    step.push(transaction_layout.of_type(code), text)
    if reference is not None:
        step.index(transaction_layout.REFERENCES, transaction_layout.reference_member(folded(reference), number))
    if event.order_id is not None:
        part, field = transaction_layout.id_field(event.order_id)
        step.join(part, field, text)
    if reverses is not None:
        if reverses >= event.position:
            raise Unappliable(event.position, "what it reverses is no transaction")
        step.put(*transaction_layout.reversal(reverses), str(event.position))


def _moved(event: Excerpt, code: str, content: Mapping[str, Any]) -> tuple[int, int, str]:
    """Return what an event did to its account's available and held money, and the currency."""
    if "amount_minor" in content:
        # As the postings say, which are dear to read.
        available_sign, held_sign = SIGNS[code]
        amount_minor = content["amount_minor"]
        return available_sign * amount_minor, held_sign * amount_minor, content["currency"]
    legs, _ = _parse(event.postings)
    changes = {leg["account"]: leg["amount_minor"] for leg in legs}
    available = changes.get(postings.available(event.account_id), 0)
    return available, changes.get(postings.held(event.account_id), 0), legs[0]["currency"]
