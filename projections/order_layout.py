"""Where each part of the orders read model lives, below its generation's prefix. The Lua scripts use the same parts.

====================  ======  =========================================================================================
part                  type    holds
====================  ======  =========================================================================================
``d:<block>``         list    documents, `DOCUMENTS_PER_BLOCK` a block, by number: a list stays packed whatever their size
``c:<account>``       list    numbers of the account's orders, ascending
``p:<product>``       list    numbers of the product's orders, ascending
``s:<code>:<block>``  string  bitmap: which of `BITS_PER_BLOCK` numbers have this status
``i:<bucket>``        hash    the rest of an order id's CRC → numbers, to be verified in the documents
``m``, ``m:<first>``  zset    sorted index over amount and number: directory, segments
``r``, ``r:<first>``  zset    sorted index over folded reference and number: directory, segments
``n``, ``nc:…``, …    hash    status → count: of all orders, of an account's, of a product's (``np:…``)
``o``                 hash    how many orders there are
====================  ======  =========================================================================================

Only an order's status ever changes; it is in the document, the bitmaps and the counts alone, so that everything else
is written once.
"""

from __future__ import annotations

from zlib import crc32

DOCUMENTS_PER_BLOCK = 64
BITS_PER_BLOCK = 4_096
ID_BUCKETS = 16_384
SEGMENT_MAX = 100
"""Members of one segment of a sorted index: small enough to stay packed."""
AMOUNTS, REFERENCES = "m", "r"
COUNT = ("o", "count")


def document(number: int) -> tuple[str, int]:
    """Return part and index of a document."""
    return f"d:{(number - 1) // DOCUMENTS_PER_BLOCK}", (number - 1) % DOCUMENTS_PER_BLOCK


def of_account(account: str) -> str:
    """Return the part that lists an account's orders."""
    return f"c:{account}"


def of_product(product: str) -> str:
    """Return the part that lists a product's orders."""
    return f"p:{product}"


def status_bit(code: str, number: int) -> tuple[str, int]:
    """Return part and bit that say whether an order has a status."""
    return f"s:{code}:{(number - 1) // BITS_PER_BLOCK}", (number - 1) % BITS_PER_BLOCK


def id_field(order_id: str) -> tuple[str, str]:
    """Return part and field that lead to the numbers of the orders with this id's CRC."""
    code = crc32(order_id.encode())
    return f"i:{code % ID_BUCKETS:x}", f"{code // ID_BUCKETS:x}"


def counts(account: str | None = None, product: str | None = None) -> str:
    """Return the part that counts by status: all orders, an account's, or a product's."""
    if account is not None:
        return f"nc:{account}"
    return "n" if product is None else f"np:{product}"


def amount_member(amount_minor: int, number: int) -> str:
    """Return the member of the index over amounts: sorts by amount, then number."""
    return _sortable(amount_minor) + _sortable(number)


def reference_member(folded_reference: str, number: int) -> str:
    """Return the member of the index over references."""
    return f"{folded_reference}\0{number:08x}"


def _sortable(value: int) -> str:
    """Return hexadecimal digits after their number, so that texts sort as the values do."""
    digits = f"{value:x}"
    return f"{len(digits):x}{digits}"
