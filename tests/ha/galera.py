"""A private Galera cluster on loopback: nodes that are killed, frozen, cut off, and join again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pymysql

from server_programs import find_program, free_port
from servers import PrivateMariaDB

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
JOIN_S_MAX = 90.0
RECOVER_S_MAX = 60.0
SETTINGS = {
    # What docs/high-availability.md asks for; change both together.
    "binlog-format": "ROW",
    "innodb-autoinc-lock-mode": "2",
    "innodb-flush-log-at-trx-commit": "1",
    "wsrep-on": "ON",
    "wsrep-provider": str(PROVIDER),
    "wsrep-sst-method": "rsync",
    "wsrep-slave-threads": "4",
}
PROVIDER_OPTIONS = {"evs.suspect_timeout": "PT3S", "repl.causal_read_timeout": "PT5S", "gcache.size": "32M"}


class GaleraNode(PrivateMariaDB):
    """One node; `start` waits until it is in step with its cluster."""

    name = "galera"

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self._group_port, self._increment_port, self._snapshot_port = free_port(), free_port(), free_port()
        self.members: tuple[str, ...] = ()
        if os.geteuid() == 0:
            # A joining node takes its copy by an rsync that would, as root, become nobody.
            subprocess.run(["chown", "-R", "mysql:mysql", str(self.directory)], check=True)
            self._options["user"] = "mysql"

    @property
    def group_address(self) -> str:
        """Where the other members find it."""
        return f"127.0.0.1:{self._group_port}"

    def join(self, members: tuple[str, ...]) -> None:
        """Start as a member of the cluster at these addresses; with none, as the first of a new one."""
        self.members = members
        self._options |= self._wsrep_options()
        start = self._recovered_position()
        self._options["wsrep-start-position"] = start
        self.start()

    def forget_its_place(self) -> None:
        """Make the stopped node one that must be copied whole."""
        (self.directory / "data" / "grastate.dat").unlink(missing_ok=True)
        shutil.rmtree(self.directory / "data" / "gcache", ignore_errors=True)
        self._forgets = True

    _forgets = False

    def status(self, *names: str) -> dict[str, str]:
        """Return status variables of the node."""
        listed = ",".join(f"'{name}'" for name in names)
        return {str(name): str(value) for name, value in self.execute(f"SHOW STATUS WHERE Variable_name IN ({listed})")}

    def is_synced(self) -> bool:
        """Say whether it is in step with its cluster."""
        found = self.status("wsrep_ready", "wsrep_local_state")
        return found.get("wsrep_ready") == "ON" and found.get("wsrep_local_state") == "4"

    def was_increment(self) -> bool:
        """Say whether the last join brought only what was missing, not a whole copy."""
        log = (self.directory / "server.log").read_text(errors="replace")
        return "IST completed on joiner" in log[log.rfind("SST started on joiner") :]

    def _answers(self) -> bool:
        try:
            return super()._answers() and self.is_synced()
        except pymysql.err.OperationalError:
            # While it takes its copy it closes connections.
            return False

    def _wsrep_options(self) -> dict[str, str]:
        provider = {
            "gmcast.listen_addr": f"tcp://{self.group_address}",
            "base_port": str(self._group_port),
            "ist.recv_addr": f"127.0.0.1:{self._increment_port}",
            **PROVIDER_OPTIONS,
        }
        return {
            **SETTINGS,
            "wsrep-cluster-name": "test",
            "wsrep-cluster-address": "gcomm://" + ",".join(self.members),
            "wsrep-node-name": f"node{self.number}",
            "wsrep-node-address": "127.0.0.1",
            # Not the node that is written to while another can: who copies itself stops for as long as that takes.
            "wsrep-sst-donor": "node3,node2,",
            "wsrep-sst-receive-address": f"127.0.0.1:{self._snapshot_port}",
            "wsrep-provider-options": ";".join(f"{name}={value}" for name, value in provider.items()),
        }

    def _recovered_position(self) -> str:
        """Ask the files how far the node came, as galera_recovery does before a start of the system's service."""
        nowhere = "00000000-0000-0000-0000-000000000000:-1"
        if self._forgets or not self.members or not (self.directory / "data" / "grastate.dat").exists():
            self._forgets = False
            return nowhere
        command, environment = self._command()
        log = self.directory / "recovery.log"
        with log.open("wb") as file:
            subprocess.run(
                [*command, "--wsrep-recover"],
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
                timeout=RECOVER_S_MAX,
                check=False,
            )
        found = re.findall(r"Recovered position:?\s*(\S+:-?\d+)", log.read_text(errors="replace"))
        return found[-1].split(",")[0] if found else nowhere


class Galera:
    """Three nodes."""

    def __init__(self, size: int = 3) -> None:
        self.nodes = [GaleraNode(number) for number in range(1, size + 1)]

    def start(self) -> None:
        """Start a new cluster, node by node."""
        for number, node in enumerate(self.nodes):
            node.join(tuple(each.group_address for each in self.nodes) if number else ())

    def join_again(self, node: GaleraNode) -> float:
        """Start a node that was killed and return how long it took until it was in step."""
        began_s = time.monotonic()
        node.join(tuple(each.group_address for each in self.nodes))
        return time.monotonic() - began_s

    def urls(self, database: str, *, first: int = 0) -> str:
        """Return the list of the nodes' URLs, in their order or beginning with another one."""
        nodes = [*self.nodes[first:], *self.nodes[:first]]
        return ",".join(node.tcp_url(database) for node in nodes)

    def stop(self) -> None:
        """End all of them and remove their files."""
        for node in self.nodes:
            node.stop()

    def wait_until_all(self, status: Mapping[str, str], nodes: list[GaleraNode], *, s_max: float = 60.0) -> None:
        """Wait until the nodes' status variables have these values."""
        ends_at_s = time.monotonic() + s_max
        while any(node.status(*status) != dict(status) for node in nodes):
            if time.monotonic() > ends_at_s:
                raise TimeoutError(f"not within {s_max} s: {[node.status(*status) for node in nodes]}")
            time.sleep(0.1)


@contextmanager
def galera_cluster(size: int = 3) -> Iterator[Galera]:
    """Run a cluster of empty nodes."""
    find_program("wsrep_sst_rsync")
    cluster = Galera(size)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
