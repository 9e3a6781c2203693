"""A primary and replicas that follow it, as an operator sets them up: binary log, GTID, read-only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from servers import PrivateMariaDB

LEVEL_S_MAX = 20.0
DATABASE = "ledger"
_USER = "replica"


@dataclass(frozen=True, slots=True)
class ReplicaPair:
    """One primary and what follows it; both have the database `ledger`."""

    primary: PrivateMariaDB
    replicas: list[PrivateMariaDB]

    @property
    def replica_urls(self) -> str:
        """The replicas as the setting names them."""
        return ",".join(each.tcp_url(DATABASE) for each in self.replicas)

    def follow(self, number: int = 0, *, delay_s: int = 0) -> None:
        """Have a replica follow, always so many seconds late."""
        replica = self.replicas[number]
        replica.execute("STOP SLAVE")
        replica.execute(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary.port}, MASTER_USER='{_USER}', "
            f"MASTER_PASSWORD='', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_DELAY={delay_s}"
        )
        replica.execute("START SLAVE")

    def stop_applying(self, number: int = 0) -> None:
        """Have a replica stay as it is."""
        self.replicas[number].execute("STOP SLAVE SQL_THREAD")

    def position(self, server: PrivateMariaDB) -> int:
        """Return the end of the log on a server."""
        position: int = server.execute("SELECT position FROM log_head", DATABASE)[0][0]
        return position

    def wait_until_level(self) -> int:
        """Wait until every replica that runs has the whole log; return its length."""
        ends_at_s = time.monotonic() + LEVEL_S_MAX
        wanted = self.position(self.primary)
        while any(self.position(each) < wanted for each in self.replicas if each.is_running):
            assert time.monotonic() < ends_at_s, [each.execute("SHOW SLAVE STATUS") for each in self.replicas]
            time.sleep(0.02)
        return wanted


@contextmanager
def replica_pair(*, replicas: int = 1) -> Iterator[ReplicaPair]:
    """Start a primary with a migrated, empty log, and replicas that are level with it."""
    from ledger.migrate import upgrade

    with ExitStack() as stack:
        primary = stack.enter_context(PrivateMariaDB(binlog=True))
        # Not in one statement: MariaDB 10.11.18 makes no user without a password on the way, 10.11.19 does.
        primary.execute(f"CREATE USER '{_USER}'@'127.0.0.1'")
        primary.execute(f"GRANT REPLICATION SLAVE ON *.* TO '{_USER}'@'127.0.0.1'")
        following = []
        for number in range(replicas):
            options = {"server-id": str(number + 2), "read-only": "1", "relay-log": "relay", "slave-net-timeout": "5"}
            following.append(stack.enter_context(PrivateMariaDB(binlog=True, options=options)))
        pair = ReplicaPair(primary, following)
        for number in range(replicas):
            pair.follow(number)
        upgrade(primary.create_database(DATABASE))
        ends_at_s = time.monotonic() + LEVEL_S_MAX
        while not all(map(_has_log, following)):
            assert time.monotonic() < ends_at_s, following[0].execute("SHOW SLAVE STATUS")
            time.sleep(0.05)
        pair.wait_until_level()
        yield pair


def selects(server: PrivateMariaDB) -> int:
    """Return how many SELECTs a server has run."""
    return int(server.execute("SHOW GLOBAL STATUS LIKE 'Com_select'")[0][1])


def _has_log(server: PrivateMariaDB) -> bool:
    tables = f"SELECT 1 FROM information_schema.tables WHERE table_schema='{DATABASE}' AND table_name='log_head'"
    return bool(server.execute(tables)) and bool(server.execute("SELECT position FROM log_head", DATABASE))
