"""Everything in one process group, for one machine: Redis if none is configured, the API, the workers, maintenance.

Processes are started and kept running by the supervisor of workers, and end in order: first those that use Redis, then
Redis.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import structlog

from api.settings import ApiSettings
from ledger.settings import PREFIX
from ledger.webhooks.settings import WebhookSettings
from orderledger import demo
from orderledger.doctor import StartCheck
from orderledger.embedded import EmbeddedRedis, EmbeddedRedisUnavailable
from orderledger.surroundings import migrate, prepare, uses_embedded_redis
from projections.wake import AGENT, PROJECTIONS, WEBHOOKS
from workers.settings import WorkerSettings
from workers.stopping import Stop
from workers.supervisor import Child, run_supervisor

READY_S_MAX = 60.0
LOOK_INTERVAL_S = 0.1
RETRY_S_MIN, RETRY_S_MAX = 0.5, 30.0
"""Pauses between starts of the embedded Redis that fail; they double."""

Say = Callable[[str], None]

_log = structlog.get_logger(__name__)


def up(
    environment: Mapping[str, str], *, data: str | None, host: str | None, port: int | None, with_demo: bool, say: Say
) -> int:
    """Run the whole service until Ctrl-C or SIGTERM; return the exit code. Raises UnsafeStart."""
    wanted = dict(environment)
    if host is not None:
        wanted[PREFIX + "HOST"] = host
    if port is not None:
        wanted[PREFIX + "PORT"] = str(port)
    wanted.setdefault(PREFIX + "EXECUTOR_ALLOW_PRIVATE", "true")
    wanted.setdefault(PREFIX + "SMS_PROVIDER", "console")
    # Nobody stands in front who would have to turn to another process first.
    wanted.setdefault(PREFIX + "DRAIN_NOTICE_S", "0")
    if _is_loopback(ApiSettings.from_environment(wanted).host):
        # On one's own machine there is no HTTPS, and nobody in between.
        wanted.setdefault(PREFIX + "SESSION_COOKIE_SECURE", "false")
        wanted.setdefault(PREFIX + "WEBHOOKS_ALLOW_PRIVATE", "true")
    brings_redis = uses_embedded_redis(wanted)
    completed = prepare(wanted, data=data, makes_signing_key=True)
    settings = ApiSettings.from_environment(completed)
    completed[PREFIX + "PORT"] = str(settings.port or _free_port(settings.host))
    with ExitStack() as stack:
        if brings_redis:
            stack.enter_context(_embedded_redis(Path(completed[PREFIX + "DATA"])))
        migrate(completed)
        check = StartCheck(completed, say)
        check.begin()
        stack.callback(check.end)
        address = f"http://{_shown(settings.host)}:{completed[PREFIX + 'PORT']}"
        access = demo.fill(completed, say) if with_demo else None
        stop = Stop()
        threading.Thread(target=_announce, args=(address, access, stop, say), daemon=True).start()
        code = run_supervisor(
            _children(completed),
            environment=completed,
            stop_timeout_s=WorkerSettings.from_environment(completed).stop_timeout_s,
            stop=stop,
        )
        return 1 if check.refused else code


@contextmanager
def _embedded_redis(data: Path) -> Iterator[None]:
    """Run the embedded Redis, starting it again whenever it dies."""
    ended = threading.Event()
    with EmbeddedRedis(data) as server:
        # The server ends with the thread that started it, so this one lives as long as the server is wanted.
        watch = threading.Thread(target=_start_again, args=(server, ended), name="redis-watch")
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()


def _start_again(server: EmbeddedRedis, ended: threading.Event) -> None:
    pause_s, is_away = LOOK_INTERVAL_S, False
    while not ended.wait(pause_s):
        if not is_away:
            if not server.died():
                continue
            _log.warning("redis-ended")
        try:
            server.stop()
            server.start()
            pause_s, is_away = LOOK_INTERVAL_S, False
        except (EmbeddedRedisUnavailable, OSError) as error:
            _log.warning("redis-not-started", problem=str(error))
            # What hinders it, such as a full disk or memory, may go away: everything else goes on meanwhile.
            pause_s, is_away = min(max(2 * pause_s, RETRY_S_MIN), RETRY_S_MAX), True


def _children(completed: Mapping[str, str]) -> list[Child]:
    agents = WorkerSettings.from_environment(completed).agent_processes
    couriers = WebhookSettings.from_environment(completed).processes
    targets = [*PROJECTIONS, *[AGENT] * agents, *[WEBHOOKS] * couriers]
    return [
        Child(name="api", module="orderledger.child", arguments=("api",)),
        *(Child(name=target, module="workers.child", arguments=(target,)) for target in targets),
        Child(name="maintenance", module="orderledger.child", arguments=("maintenance",)),
    ]


def _announce(address: str, access: demo.Access | None, stop: Stop, say: Say) -> None:
    ends_at_s = time.monotonic() + READY_S_MAX
    while not stop.wait(LOOK_INTERVAL_S):
        if _answers(f"{address}/healthz"):
            break
        if time.monotonic() > ends_at_s:
            say(f"the API did not answer at {address} within {READY_S_MAX:g} s; see the messages above")
            return
    say(f"orderledger is ready at {address} (API page: {address}/docs); Ctrl-C stops everything")
    if access is not None:
        names = ", ".join(username for username, *_ in demo.LOGINS)
        say(f"demo logins: {names}; the password of each is {access.password}")
        say(f"demo API key (role admin): {access.api_key}")
        say(f'try: curl -H "Authorization: Bearer {access.api_key}" {address}/v1/customers')


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return isinstance(json.load(answer), dict)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _shown(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
