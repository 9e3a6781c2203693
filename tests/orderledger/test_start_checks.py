"""What is unsafe stops a start, on servers that were really set up so; what is accepted by name does not."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import urllib3

from ledger.clock import now_us
from ledger.errors import BadSetting, UnsafeStart
from ledger.migrate import upgrade
from ledger.safety.checks import REFUSING
from ledger.settings import LedgerSettings, read_settings
from orderledger.doctor import StartCheck, examine
from server_programs import free_port
from servers import PrivateMariaDB, PrivateRedis

SECRET = "of the start checks, 0123456789 abcdef"
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """A migrated ledger on servers of its own, and the environment of its service."""

    mariadb: PrivateMariaDB
    redis: PrivateRedis
    environment: Mapping[str, str]

    def refused(self, **changed: str) -> set[str]:
        """Return the names of the checks that refuse a start, as an operator accepts them."""
        try:
            StartCheck({**self.environment, **named(changed)}, lambda line: None).begin()
        except UnsafeStart as error:
            return {line.split("ORDERLEDGER_ALLOW_UNSAFE=")[1].rstrip(")") for line in error.lines}
        return set()

    def warned(self, **changed: str) -> set[str]:
        return {each["check"] for each in examine({**self.environment, **named(changed)}) if each["state"] == "warning"}

    def log(self, statement: str) -> list[tuple[object, ...]]:
        return self.mariadb.execute(statement, "ledger")


def named(changed: Mapping[str, str]) -> dict[str, str]:
    others = ("FLASK_DEBUG", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
    return {name if name in others else f"ORDERLEDGER_{name}": value for name, value in changed.items()}


@contextmanager
def place_of(data: Path, *, binlog: bool = False, **options: str) -> Iterator[Place]:
    data.chmod(0o700)
    settings = {name.replace("_", "-"): value for name, value in options.items()}
    with PrivateMariaDB(binlog=binlog, options=settings) as mariadb, PrivateRedis() as redis:
        url = mariadb.create_database("ledger")
        upgrade(url)
        environment = {
            "ORDERLEDGER_DATABASE_URL": url,
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_SECRET_KEY": SECRET,
            "ORDERLEDGER_DATA": str(data),
            "ORDERLEDGER_SIGNING_KEY_FILE": str(data / "signing-key"),
        }
        yield Place(mariadb, redis, environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(tmp_path_factory.mktemp("start"), binlog=True) as made:
        yield made


@contextmanager
def changed(place: Place, there: str, back: str) -> Iterator[None]:
    place.log(there)
    try:
        yield
    finally:
        place.log(back)


def test_a_safe_place_starts(place: Place) -> None:
    assert place.refused() == set()


SERVER_CHANGES = {
    "commits": ("SET GLOBAL innodb_flush_log_at_trx_commit=2", "SET GLOBAL innodb_flush_log_at_trx_commit=1"),
    "binary-log": ("SET GLOBAL sync_binlog=0", "SET GLOBAL sync_binlog=1"),
    "binary-log-format": ("SET GLOBAL binlog_format='STATEMENT'", "SET GLOBAL binlog_format='ROW'"),
    "packet-size": ("SET GLOBAL max_allowed_packet=1048576", "SET GLOBAL max_allowed_packet=67108864"),
    "schema": (
        "UPDATE schema_version_log SET version_num='log_0001'",
        "UPDATE schema_version_log SET version_num=(SELECT wanted FROM kept)",
    ),
    "newer-schema": (
        "UPDATE schema_version_log SET version_num='log_9999'",
        "UPDATE schema_version_log SET version_num=(SELECT wanted FROM kept)",
    ),
    "collation": (
        "ALTER TABLE accounts MODIFY status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL",
        "ALTER TABLE accounts MODIFY status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
    ),
    "recorded-time": (
        f"UPDATE log_head SET recorded_at_us={now_us() + 3_600_000_000}",
        "UPDATE log_head SET recorded_at_us=0",
    ),
}


@pytest.mark.parametrize("word", SERVER_CHANGES)
def test_a_database_that_is_set_up_unsafely_stops_the_start(place: Place, word: str) -> None:
    place.log("CREATE OR REPLACE TABLE kept AS SELECT version_num AS wanted FROM schema_version_log")
    with changed(place, *SERVER_CHANGES[word]):
        assert place.refused() == {word}

        assert place.refused(ALLOW_UNSAFE=word) == set()


@pytest.mark.parametrize("queue_only", [False, True])
def test_either_redis_that_evicts_stops_the_start(place: Place, queue_only: bool) -> None:
    with PrivateRedis(options={"maxmemory-policy": "allkeys-lru"}) as evicting:
        names = ("QUEUE_REDIS_URL",) if queue_only else ("REDIS_URL",)

        assert place.refused(**dict.fromkeys(names, evicting.url())) == {"redis-memory"}


def test_an_old_redis_stops_the_start(place: Place) -> None:
    class Old(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            info = "redis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"
            while count := self.rfile.readline():
                words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(int(count[1:]))]
                answer = {b"INFO": f"${len(info)}\r\n{info}\r\n", b"HELLO": "%1\r\n$5\r\nproto\r\n:3\r\n"}
                self.wfile.write(answer.get(words[0].upper(), "+OK\r\n").encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert place.refused(REDIS_URL=f"redis://127.0.0.1:{server.server_address[1]}/0") == {"redis-version"}
        finally:
            server.shutdown()


SETTINGS = {
    "secret-key": ["", "short", "changeme", "a" * 40, "change-me-please-0123456789-abcdefghijkl"],
    "debugging": ["1"],
}


@pytest.mark.parametrize("secret", SETTINGS["secret-key"])
def test_a_secret_key_that_is_missing_short_or_well_known_stops_the_start(place: Place, secret: str) -> None:
    assert place.refused(SECRET_KEY=secret) == {"secret-key"}


@pytest.mark.parametrize("name", ["FLASK_DEBUG", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG"])
def test_debugging_stops_the_start(place: Place, name: str) -> None:
    assert place.refused(**{name: "1"}) == {"debugging"}
    assert place.refused(**{name: "0"}) == set()


def test_other_secrets_that_are_well_known_stop_the_start(place: Place) -> None:
    assert place.refused(SMS_TOKEN="changeme") == {"well-known-secret"}


def test_a_well_known_password_of_the_database_stops_the_start(place: Place) -> None:
    with changed(place, "CREATE USER weak@localhost IDENTIFIED BY 'changeme'", "DROP USER weak@localhost"):
        place.log("GRANT ALL ON ledger.* TO weak@localhost")
        url = place.environment["ORDERLEDGER_DATABASE_URL"].replace("root@", "weak:changeme@")

        assert place.refused(DATABASE_URL=url) == {"database-password"}


def test_files_that_others_can_read_stop_the_start(place: Place, tmp_path: Path) -> None:
    secret, key = tmp_path / "secret-key", tmp_path / "signing-key"
    secret.write_text(SECRET)
    key.write_text("no key at all")
    secret.chmod(0o644)
    key.chmod(0o600)

    refused = place.refused(DATA=str(tmp_path), SIGNING_KEY_FILE=str(key))

    assert refused == {"secret-file", "signing-key"}


def test_servers_started_unsafely_stop_the_start(tmp_path: Path) -> None:
    with place_of(tmp_path, innodb_doublewrite="0", version="10.6.21-MariaDB") as place:
        assert place.refused() == {"page-writes", "database-version"}


def test_a_session_that_gets_another_mode_or_character_set_stops_the_start(place: Place) -> None:
    from ledger.safety.checks import refusals
    from ledger.safety.server import QUERY, findings_of_server, variables

    engine = sa.create_engine(place.environment["ORDERLEDGER_DATABASE_URL"])
    with engine.connect() as connection:
        # What a proxy in between may do to our sessions.
        connection.exec_driver_sql("SET SESSION sql_mode='ANSI_QUOTES', character_set_connection=latin1")
        connection.exec_driver_sql("SET timestamp=1700000000")
        found = refusals(findings_of_server(variables(connection.execute(sa.text(QUERY)).all())))
    engine.dispose()

    assert {each["check"] for each in found} == {"sql mode", "character set", "clock"}


def test_what_is_only_doubtful_is_warned_of_and_starts(place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    doubtful = {
        "DATA": str(tmp_path),
        "EXECUTOR_ALLOW_PRIVATE": "true",
        "SESSION_COOKIE_SECURE": "false",
        "SMS_PROVIDER": "console",
        "API_THREADS": "500",
        "API_WORKERS": "20",
    }
    with PrivateRedis(options={"appendonly": "no"}) as forgetful:
        doubtful["REDIS_URL"] = forgetful.url()

        assert place.refused(**doubtful) == set()
        assert place.warned(**doubtful) >= {
            "data directory", "executors", "session cookie", "login codes", "connection pool", "connections",
            "session time", "database user", "redis persistence",
        }  # fmt: skip


def test_a_redis_without_a_password_on_another_host_is_warned_of(place: Place) -> None:
    from api.safe_settings import findings_of_settings

    environment = {**place.environment, "ORDERLEDGER_REDIS_URL": "redis://cache.internal/0"}

    assert "redis password" in {each["check"] for each in findings_of_settings(environment)}


def test_what_is_accepted_is_still_shown_by_the_doctor(place: Place) -> None:
    with changed(place, *SERVER_CHANGES["commits"]):
        assert "commits" in place.warned(ALLOW_UNSAFE="commits")


def test_only_checks_that_refuse_can_be_accepted_and_by_their_names_alone() -> None:
    for wrong in ("all", "true", "*", "database-user", "commits,everything"):
        with pytest.raises(BadSetting, match="ORDERLEDGER_ALLOW_UNSAFE"):
            read_settings(LedgerSettings, {"ORDERLEDGER_ALLOW_UNSAFE": wrong})

    assert read_settings(LedgerSettings, {"ORDERLEDGER_ALLOW_UNSAFE": " commits, clock"}).allow_unsafe == (
        "commits",
        "clock",
    )


def test_every_check_that_refuses_was_tried_here() -> None:
    tried = Path(__file__).read_text("utf-8")

    assert [word for word in REFUSING if f'"{word}"' not in tried and f'"{REFUSING[word].name}"' not in tried] == []


# -- as processes --------------------------------------------------------------------------------------------------


def start(place: Place, *arguments: str, **changed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **place.environment, **named(changed), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orderledger", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize(
    "arguments", [("api", "--port", "0"), ("worker", "agent"), ("worker", "maintenance"), ("up", "--port", "0")]
)
def test_every_role_refuses_with_exit_code_1_and_a_line_for_each_reason(
    place: Place, arguments: tuple[str, ...]
) -> None:
    with changed(place, *SERVER_CHANGES["commits"]), changed(place, *SERVER_CHANGES["packet-size"]):
        process = start(place, *arguments)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    lines = [line.split("refused to start: ")[1] for line in said.splitlines() if "refused to start" in line]
    assert [line.split("→ ")[1] for line in lines] == [
        "SET GLOBAL innodb_flush_log_at_trx_commit=1 (or accept it: ORDERLEDGER_ALLOW_UNSAFE=commits)",
        "SET GLOBAL max_allowed_packet=16777216 (or accept it: ORDERLEDGER_ALLOW_UNSAFE=packet-size)",
    ]
    assert lines[0].startswith("commits: may be lost on a crash")


def status_of(url: str) -> int:
    try:
        return int(urllib3.request("GET", url, retries=False, timeout=5).status)
    except urllib3.exceptions.HTTPError:
        return 0


def wait_until(is_so: Callable[[], bool], s_max: float = 40.0) -> None:
    ends_at_s = time.monotonic() + s_max
    while not is_so():
        assert time.monotonic() < ends_at_s, "it was not so in time"
        time.sleep(0.1)


def test_a_service_whose_database_is_away_starts_and_works_when_it_comes_back(tmp_path: Path) -> None:
    with place_of(tmp_path) as place:
        port = free_port()
        place.mariadb.kill()
        process = start(place, "api", "--port", str(port))
        wait_until(lambda: status_of(f"http://127.0.0.1:{port}/healthz") == 200)
        assert status_of(f"http://127.0.0.1:{port}/readyz") == 503

        place.mariadb.start()

        wait_until(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200)
        process.terminate()
        process.communicate(timeout=40)
        assert process.returncode == 0


def test_a_service_whose_database_comes_back_unsafe_ends(tmp_path: Path) -> None:
    with place_of(tmp_path, innodb_flush_log_at_trx_commit="2") as place:
        port = free_port()
        place.mariadb.kill()
        process = start(place, "api", "--port", str(port))
        wait_until(lambda: status_of(f"http://127.0.0.1:{port}/healthz") == 200)

        place.mariadb.start()
        _, said = process.communicate(timeout=60)

        assert process.returncode == 1
        assert "ORDERLEDGER_ALLOW_UNSAFE=commits" in said
        assert json.loads(said.splitlines()[0])["event"] == "start-check-postponed"
