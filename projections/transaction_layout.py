"""Where each part of the transactions read model lives, below its generation's prefix. The Lua script uses the same parts.

=================  ====  ===========================================================================================
part               type  holds
=================  ====  ===========================================================================================
``d:<block>``      list  documents, `DOCUMENTS_PER_BLOCK` a block, by number: a list stays packed whatever their size
``c:<account>``    list  numbers of the account's transactions, ascending
``y:<type>``       list  numbers of the transactions of a type, ascending
``i:<bucket>``     hash  the rest of an order id's CRC → numbers, to be verified in the documents
``r``, ``r:…``     zset  sorted index over folded reference and number: directory, segments
``v:<block>``      hash  position of what was reversed → position of its reversal
``o``              hash  how many transactions there are
``t``              hash  currency and a (available) or h (held) → money of all accounts
``m:<day>``        hash  half hour of the day, currency and a or h → what changed in it
``n:<day>``        hash  half hour, currency, type and n (how many) or m (what they moved) → sum
=================  ====  ===========================================================================================

Transactions are numbered in the order of the log, so that number order is time order. A document never changes.
"""

from __future__ import annotations

from zlib import crc32

DOCUMENTS_PER_BLOCK = 64
REVERSALS_PER_BLOCK = 4_096
"""Positions whose reversals share a hash."""
ID_BUCKETS = 16_384
REFERENCES = "r"
MONEY = "t"
COUNT = ("o", "count")


def document(number: int) -> str:
    """Return the part in which a document is."""
    return f"d:{(number - 1) // DOCUMENTS_PER_BLOCK}"


def of_account(account: str) -> str:
    """Return the part that lists an account's transactions."""
    return f"c:{account}"


def of_type(code: str) -> str:
    """Return the part that lists the transactions of a type."""
    return f"y:{code}"


def id_field(order_id: str) -> tuple[str, str]:
    """Return part and field that lead to the numbers of the transactions of orders with this id's CRC."""
    code = crc32(order_id.encode())
    return f"i:{code % ID_BUCKETS:x}", f"{code // ID_BUCKETS:x}"


def reversal(position: int) -> tuple[str, str]:
    """Return part and field that say by what a transaction was reversed."""
    return f"v:{position // REVERSALS_PER_BLOCK}", str(position)


def moved(day: int) -> str:
    """Return the part with what changed of all money on a day of UTC, counted from 1970."""
    return f"m:{day}"


def happened(day: int) -> str:
    """Return the part with what happened on a day of UTC, counted from 1970."""
    return f"n:{day}"


def reference_member(folded_reference: str, number: int) -> str:
    """Return the member of the index over references."""
    return f"{folded_reference}\0{number:08x}"
