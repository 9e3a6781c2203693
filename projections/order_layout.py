"""Where each part of the orders read model lives, below its generation's prefix. The Lua scripts use the same parts.

=======================  ======  ======================================================================================
part                     type    holds
=======================  ======  ======================================================================================
``d:<block>``            list    documents, `DOCUMENTS_PER_BLOCK` a block, by number: a list stays packed
``c:<account>``          string  numbers of the account's orders, four bytes each, ascending, until it is dense
``p:<product>``          string  numbers of the product's orders, the same
``x``                    hash    the parts that are dense → the first number that is no longer on the list
``b:<part>:<window>``    string  bitmap: which of a window's numbers a dense part has
``s:<code>:<window>``    string  bitmap: which have this status
``a:<place>:<window>``   string  bitmap: which have this binary place of the amount (0: the lowest) set
``u:<window>``           string  four bytes an order: a hash of its account, to be verified in the documents
``i:<bucket>``           hash    the rest of an order id's CRC → numbers, to be verified in the documents
``r``, ``r:<first>``     zset    sorted index over folded reference and number: directory, segments
``n``, ``nc:…``, …       hash    status → count: of all orders, of an account's, of a product's (``np:…``)
``o``                    hash    how many orders there are, and binary places of their amounts
=======================  ======  ======================================================================================

A window is `WINDOW` numbers in a row. Bitmaps of a window are as long as Redis can keep without waste; a part becomes
dense when it has so many of all numbers that a bitmap is no larger than a list.

Only an order's status ever changes; it is in the document, the bitmaps and the counts alone, so that everything else
is written once.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from zlib import crc32

DOCUMENTS_PER_BLOCK = 64
WINDOW = 32_640
"""Numbers of one bitmap: with Redis's own few bytes it fills a 4-KiB block of memory."""
NUMBER_BYTES = 4
CODE_BYTES = 4
"""Bytes of an account's hash in the column `u`."""
DENSE_MIN = 1_000
"""A shorter list is never dense: it can be read whole."""
DENSE_SHARE = 64
"""A part is dense from where it has one of so many orders on."""
ID_BUCKETS = 16_384
SEGMENT_MAX = 100
"""Members of one segment of a sorted index: small enough to stay packed."""
REFERENCES = "r"
CODES_MAX = 65_536
"""Accounts whose hash is remembered."""
COUNT, PLACES = ("o", "count"), ("o", "places")


def document(number: int) -> tuple[str, int]:
    """Return part and index of a document."""
    return f"d:{(number - 1) // DOCUMENTS_PER_BLOCK}", (number - 1) % DOCUMENTS_PER_BLOCK


def packed_number(number: int) -> bytes:
    """Return the number as it stands on a list."""
    return number.to_bytes(NUMBER_BYTES, "little")


def unpacked_numbers(data: bytes) -> array[int]:
    """Return the numbers of a list, or of several one after the other."""
    numbers = array("I", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def of_account(account: str) -> str:
    """Return the part that lists an account's orders."""
    return f"c:{account}"


def of_product(product: str) -> str:
    """Return the part that lists a product's orders."""
    return f"p:{product}"


def window_of(number: int) -> tuple[int, int]:
    """Return the window of a number and its place there, from 0 on."""
    return divmod(number - 1, WINDOW)


def status_bit(code: str, number: int) -> tuple[str, int]:
    """Return part and bit that say whether an order has a status."""
    window, bit = window_of(number)
    return f"s:{code}:{window}", bit


def amount_bits(place: int, window: int) -> str:
    """Return the bitmap of a binary place of amounts."""
    return f"a:{place}:{window}"


def account_codes(window: int) -> str:
    """Return the column of accounts' hashes."""
    return f"u:{window}"


@lru_cache(CODES_MAX)
def account_code(account: str) -> int:
    """Return the hash of an account, in `CODE_BYTES`."""
    return crc32(account.encode())


def id_field(order_id: str) -> tuple[str, str]:
    """Return part and field that lead to the numbers of the orders with this id's CRC."""
    code = crc32(order_id.encode())
    return f"i:{code % ID_BUCKETS:x}", f"{code // ID_BUCKETS:x}"


def counts(account: str | None = None, product: str | None = None) -> str:
    """Return the part that counts by status: all orders, an account's, or a product's."""
    if account is not None:
        return f"nc:{account}"
    return "n" if product is None else f"np:{product}"


def amount_key(amount_minor: int, number: int) -> str:
    """Return a text that sorts by amount, then number."""
    return _sortable(amount_minor) + _sortable(number)


def of_amount_key(key: str) -> tuple[int, int]:
    """Undo `amount_key`. Raises ValueError."""
    end = 1 + int(key[0], 16)
    return int(key[1:end], 16), int(key[end + 1 :], 16)


def reference_member(folded_reference: str, number: int) -> str:
    """Return the member of the index over references."""
    return f"{folded_reference}\0{number:x}"


def _sortable(value: int) -> str:
    """Return hexadecimal digits after their number, so that texts sort as the values do."""
    digits = f"{value:x}"
    return f"{len(digits):x}{digits}"
