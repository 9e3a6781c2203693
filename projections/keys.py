"""Where each thing of a read model lives in Redis.

Everything of a projection begins with ``ol:<schema>:<name>:``. What a generation holds stands under its own name, its
checkpoint included, so that data and checkpoint are lost together and an old generation can go as a whole. The Lua
scripts add the same parts to the same prefix.

========================  ======  =====================================================================================
part                      type    holds
========================  ======  =====================================================================================
``state``                 hash    checkpoint, count of documents, why the projection stopped
``b:<bucket>``            hash    balances: account → packed balance
``d:<block>``             list    packed documents, `DOCUMENTS_PER_BLOCK` a block, by number
``a:<account>``           list    numbers of the account's documents, ascending
``p:<product>``           list    numbers of the product's orders, ascending
``t:<type>``              list    numbers of the type's transactions, ascending
``s:<status>:<block>``    string  bitmap: which of `BITS_PER_BLOCK` numbers have this status
``i:<bucket>``            hash    part of an order id's CRC → numbers, to be verified in the documents
``z``                     hash    block of `BITS_PER_BLOCK` numbers → least and greatest order id in it
``m``, ``m:<first>``      zset    sorted index over amount and number: directory, segments
``r``, ``r:<first>``      zset    sorted index over reference and number: directory, segments
``n``, ``na:…``, ``np:…`` hash    status → count: of all orders, of an account's, of a product's
========================  ======  =====================================================================================
"""

from __future__ import annotations

from zlib import crc32

PREFIX = "ol"
SCHEMA_VERSION = 1
"""To be raised with the layout: models of another version are not read, and made again."""
DOCUMENTS_PER_BLOCK = 64
BITS_PER_BLOCK = 4_096
BALANCE_BUCKETS = 4_096
ID_BUCKETS = 65_536


def base(name: str) -> str:
    """Return what every key of a projection begins with."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:"


def live(name: str) -> str:
    """Return the key of the pointer to the generation that is read and drained."""
    return base(name) + "live"


def generations(name: str) -> str:
    """Return the key of the set of all generations that may hold anything."""
    return base(name) + "generations"


def building(name: str) -> str:
    """Return the key that names the generation being built beside the live one, while its builder lives."""
    return base(name) + "building"


def part(name: str, generation: str, suffix: str) -> str:
    """Return the key of a part of a generation."""
    return f"{base(name)}{generation}:{suffix}"


def flag(target: str) -> str:
    """Return the key of the flag that says a wake-up of the target waits in its queue."""
    return f"{PREFIX}:{SCHEMA_VERSION}:wake:{target}"


def balance_part(account_id: str) -> str:
    """Return the part that holds an account's balance."""
    return f"b:{crc32(account_id.encode()) % BALANCE_BUCKETS:x}"


def document_part(number: int) -> str:
    """Return the part that holds a document."""
    return f"d:{(number - 1) // DOCUMENTS_PER_BLOCK}"


def account_part(account: str) -> str:
    """Return the part that lists an account's documents."""
    return f"a:{account}"


def product_part(product: str) -> str:
    """Return the part that lists a product's orders."""
    return f"p:{product}"


def type_part(type_code: str) -> str:
    """Return the part that lists a type's transactions."""
    return f"t:{type_code}"


def status_part(status_code: str, number: int) -> str:
    """Return the part whose bit says whether the order has this status."""
    return f"s:{status_code}:{(number - 1) // BITS_PER_BLOCK}"


def id_part(order_id: str) -> tuple[str, str]:
    """Return the part and the field that hold the numbers of an order's documents."""
    code = crc32(order_id.encode())
    return f"i:{code % ID_BUCKETS:x}", f"{code // ID_BUCKETS:x}"


def counts_part(account: str | None = None, product: str | None = None) -> str:
    """Return the part that counts orders by status: all, an account's, or a product's."""
    if account is not None:
        return f"na:{account}"
    return "n" if product is None else f"np:{product}"
