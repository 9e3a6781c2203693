"""Where messages may go: the rules that a URL alone can be held to; whose addresses its name has is looked at when calling.

Whoever edits subscriptions could otherwise make the service call its own neighbours.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

LENGTH_MAX = 2_000
HTTPS_PORT = 443
UNPRIVILEGED_PORT_MIN = 1_024
LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")
"""Names, and the ends of names, that never lead to the public network."""
_ENDS_IN_NUMBER = frozenset("0123456789")


def url_problem(value: str, *, allow_private: bool) -> str | None:
    """Say what is wrong with a subscription's URL, None when nothing is."""
    if (
        not 1 <= len(value) <= LENGTH_MAX
        or not value.isascii()
        or not value.isprintable()
        or set(value) & set(' "<>\\')
    ):
        return f"expected a URL of up to {LENGTH_MAX} ASCII characters"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "expected a URL such as https://example.org/hooks"
    if parts.scheme not in ("http", "https") or not host or port == 0 or "%" in parts.netloc:
        return "expected a URL such as https://example.org/hooks"
    if "@" in parts.netloc:
        return "the URL must not hold a user or a password; messages are signed"
    if parts.fragment or "#" in value:
        return "the URL must not have a fragment"
    return None if allow_private else _private_problem(parts, host, port)


def _private_problem(parts: SplitResult, host: str, port: int | None) -> str | None:
    if parts.scheme != "https":
        return "expected https"
    if port is not None and port != HTTPS_PORT and port < UNPRIVILEGED_PORT_MIN:
        return f"expected port {HTTPS_PORT}, or one from {UNPRIVILEGED_PORT_MIN}"
    name = host.rstrip(".")
    try:
        return None if ip_address(name).is_global else "the address is not a public one"
    except ValueError:
        pass
    # 127.1, 0x7f000001, 2130706433: other spellings of addresses, which resolvers take for one.
    last = name.rpartition(".")[2]
    if not last or last[0] in _ENDS_IN_NUMBER:
        return "the address is not a public one"
    if any(name == local or name.endswith(f".{local}") for local in LOCAL_NAMES) or "." not in name:
        return "the name is not a public one"
    return None
