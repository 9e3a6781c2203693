"""A private Redis with replicas, watched by Sentinels, on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from server_programs import find_program
from servers import PrivateRedis

MASTER = "books"
DOWN_MS, FAILOVER_MS = 2_000, 10_000
SETTLE_S_MAX = 30.0
LAG_S_MAX = 10


class PrivateSentinel(PrivateRedis):
    """One Sentinel."""

    name = "sentinel"

    def __init__(self, master: PrivateRedis, *, quorum: int) -> None:
        super().__init__()
        (self.directory / "sentinel.conf").write_text(
            f"port {self.port}\n"
            f"bind 127.0.0.1\n"
            f"dir {self.directory}\n"
            f"unixsocket {self.socket}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MS}\n"
            f"sentinel failover-timeout {MASTER} {FAILOVER_MS}\n"
            f"sentinel parallel-syncs {MASTER} 1\n"
        )

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = find_program("redis-server")
        return [program, str(self.directory / "sentinel.conf"), "--sentinel"], environment


class WatchedRedis:
    """One master, two replicas, three Sentinels."""

    def __init__(self) -> None:
        options = {
            "min-replicas-to-write": "1",
            "min-replicas-max-lag": str(LAG_S_MAX),
            "repl-diskless-sync-delay": "0",
        }
        master = PrivateRedis(options=options)
        following = {**options, "replicaof": f"127.0.0.1 {master.port}"}
        self.servers = [master, PrivateRedis(options=following), PrivateRedis(options=following)]
        self.sentinels = [PrivateSentinel(master, quorum=2) for _ in range(3)]

    def start(self) -> None:
        """Start everything and wait until every Sentinel knows the replicas and the others."""
        for server in self.servers:
            server.start()
        for sentinel in self.sentinels:
            sentinel.start()
        self.wait_until_watched(replicas=2)

    def stop(self) -> None:
        """End everything."""
        for server in [*self.sentinels, *self.servers]:
            server.stop()

    @property
    def url(self) -> str:
        """The URL that names the Sentinels and the master."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}/0"

    def master(self) -> PrivateRedis:
        """Return the server that the Sentinels call the master."""
        with self.sentinels[0].client() as client:
            port = int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])
        return next(server for server in self.servers if server.port == port)

    def wait_until_watched(self, *, replicas: int) -> None:
        """Wait until every Sentinel sees that many good replicas and both other Sentinels."""
        ends_at_s = time.monotonic() + SETTLE_S_MAX
        while not all(self._is_watching(sentinel, replicas) for sentinel in self.sentinels):
            if time.monotonic() > ends_at_s:
                raise TimeoutError("the Sentinels did not find everything")
            time.sleep(0.2)

    def _is_watching(self, sentinel: PrivateSentinel, replicas: int) -> bool:
        try:
            with sentinel.client() as client:
                state = client.sentinel_master(MASTER)
                listed = client.sentinel_slaves(MASTER)
        except redis.RedisError:
            return False
        good = [each for each in listed if each["flags"] == "slave" and each["master-link-status"] == "ok"]
        return state["num-other-sentinels"] == 2 and len(good) == replicas


@contextmanager
def watched_redis() -> Iterator[WatchedRedis]:
    """Run a watched Redis."""
    servers = WatchedRedis()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
