"""Which network addresses an executor may have: a name is resolved once, and only the checked addresses are connected
to.

Otherwise whoever may edit products could make the service call its own neighbours, and a name could answer with one
address to the check and another to the connection.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as ResolutionTimeout
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

ADDRESSES_MAX = 8
RESOLVER_THREADS = 4
_TRANSLATED = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """Every address of the host is one that executors may not have."""


class Unresolved(Exception):
    """The host's name has no address now."""


def addresses_of(host: str, port: int, *, allow_private: bool, timeout_s: float) -> list[str]:
    """Return up to ADDRESSES_MAX addresses of the host that may be called. Raises AddressRefused or Unresolved."""
    found = _resolve(host, port, timeout_s)
    allowed = [address for address in found if _is_allowed(address, allow_private=allow_private)]
    if not allowed:
        raise AddressRefused()
    return allowed[:ADDRESSES_MAX]


def _resolve(host: str, port: int, timeout_s: float) -> list[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    # The resolver knows no deadline of its own; an overdue look-up ends by itself in its thread.
    look_up = _resolvers().submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        answers = look_up.result(timeout=timeout_s)
    except (OSError, UnicodeError, ResolutionTimeout):
        look_up.cancel()
        raise Unresolved() from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


@cache
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")


def _is_allowed(text: str, *, allow_private: bool) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if address.is_multicast:
        return False
    return allow_private or all(each.is_global and not each.is_multicast for each in _meant(address))


def _meant(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Return the address and every IPv4 address wrapped in it."""
    if isinstance(address, IPv4Address):
        return [address]
    wrapped = [each for each in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if each is not None]
    if address in _TRANSLATED:
        wrapped.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    # A mapped address counts as what it maps; Python 3.11 calls the mapping itself reserved.
    return list(wrapped) if address.ipv4_mapped is not None else [address, *wrapped]
