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
_GIVEN_OUT = IPv6Network("2000::/3")


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
    return allow_private or _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether it is an address of the internet, and so is every IPv4 address wrapped in it.

    Of IPv6 only what is given out counts: `is_global` is also true of what is reserved or means this machine.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    # A mapped address counts as what it maps; Python 3.11 calls the mapping itself reserved.
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address in _TRANSLATED:
        return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    wrapped = [each for each in (address.sixtofour, *(address.teredo or ())) if each is not None]
    return address in _GIVEN_OUT and address.is_global and all(_is_public(each) for each in wrapped)
