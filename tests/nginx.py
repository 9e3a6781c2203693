"""A private nginx with the configuration that we ship, its variables filled in."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from certificates import self_signed

SHIPPED = Path(__file__).parents[1] / "deploy" / "nginx.conf"
START_S_MAX = 10.0
MAIN = """
pid {directory}/pid;
error_log {directory}/error.log warn;
worker_processes 1;
daemon off;
events {{ worker_connections 1024; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/orderledger.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """Where it listens, whom to trust, and what it wrote."""

    address: str
    plain_address: str
    certificate: Path
    directory: Path

    def errors(self) -> str:
        """Return what it complained about."""
        return (self.directory / "error.log").read_text()


def program() -> str | None:
    """Return nginx's path, None when there is none."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def in_front_of(apis: Sequence[str]) -> Iterator[Nginx]:
    """Run it in front of two addresses, such as ``127.0.0.1:8000``."""
    directory = Path(tempfile.mkdtemp(prefix="nginx-"))
    certificate, key = self_signed(directory)
    http_port, https_port = _free_port(), _free_port()
    filled = string.Template(SHIPPED.read_text()).safe_substitute(
        API_ONE=apis[0],
        API_TWO=apis[1],
        HTTP_PORT=f"127.0.0.1:{http_port}",
        HTTPS_PORT=f"127.0.0.1:{https_port}",
        SERVER_NAME="localhost",
        TLS_CERTIFICATE=str(certificate),
        TLS_KEY=str(key),
    )
    (directory / "orderledger.conf").write_text(filled)
    (directory / "nginx.conf").write_text(MAIN.format(directory=directory))
    user = [] if os.getuid() else ["-g", "user root;"]
    command = [program() or "nginx", "-p", str(directory), "-c", str(directory / "nginx.conf"), *user]
    process = subprocess.Popen([*command, "-e", str(directory / "start.log")])
    try:
        ends_at_s = time.monotonic() + START_S_MAX
        while not _listens(https_port):
            assert process.poll() is None and time.monotonic() < ends_at_s, (directory / "start.log").read_text()
            time.sleep(0.05)
        yield Nginx(f"https://localhost:{https_port}", f"http://localhost:{http_port}", certificate, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S_MAX)
        shutil.rmtree(directory, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
