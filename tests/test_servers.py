"""The private servers that the other tests stand on: alone, durable, and gone with the tests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis
import sqlalchemy as sa

from servers import PrivateMariaDB, PrivateRedis

TESTS = Path(__file__).parent


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_databases_of_two_tests_are_strangers(mariadb: PrivateMariaDB, mariadb_url: str) -> None:
    other = mariadb.create_database("other")
    mariadb.execute(f"CREATE TABLE `{sa.make_url(mariadb_url).database}`.kept (n INT)")

    with sa.create_engine(other).connect() as connection:
        assert sa.inspect(connection).get_table_names() == []

    mariadb.drop_database("other")


def test_databases_hold_any_character_and_compare_bytes(mariadb: PrivateMariaDB, mariadb_url: str) -> None:
    database = sa.make_url(mariadb_url).database

    mariadb.execute("CREATE TABLE words (word VARCHAR(9) PRIMARY KEY)", database)
    mariadb.execute("INSERT INTO words VALUES ('账本𝄞'), ('a'), ('A')", database)

    assert mariadb.execute("SELECT word FROM words ORDER BY word", database) == [("A",), ("a",), ("账本𝄞",)]


def test_a_mariadb_is_reachable_by_socket_and_on_loopback(mariadb: PrivateMariaDB) -> None:
    for url in (mariadb.url("mysql"), mariadb.tcp_url("mysql")):
        with sa.create_engine(url).connect() as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1


def test_a_killed_mariadb_comes_back_with_what_was_committed() -> None:
    with PrivateMariaDB(binlog=True) as server:
        server.create_database("ledger")
        server.execute("CREATE TABLE facts (n INT)", "ledger")
        server.execute("INSERT INTO facts VALUES (7)", "ledger")

        server.kill()
        with pytest.raises(pymysql.err.OperationalError):
            server.execute("SELECT 1")
        server.start()

        assert server.execute("SELECT n FROM facts", "ledger") == [(7,)]
        assert server.execute("SELECT @@log_bin, @@sync_binlog") == [(1, 1)]


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_redis_shut_down_comes_back_with_its_keys(engine: str) -> None:
    with PrivateRedis(engine=engine) as server:
        server.client().set("kept", "yes")

        server.restart()

        assert server.client().get("kept") == "yes"
        assert redis.Redis.from_url(server.tcp_url()).ping()


def test_a_paused_mariadb_answers_nobody_who_asks_at_once() -> None:
    with PrivateMariaDB() as server:
        for _ in range(40):
            connection: Any = pymysql.connect(user="root", unix_socket=str(server.socket))
            connection._read_timeout = 0.01
            server.pause()
            with pytest.raises(pymysql.err.OperationalError):
                connection.ping(reconnect=False)
            server.resume()


def test_a_redis_can_be_killed_and_made_to_hang() -> None:
    with PrivateRedis(options={"appendfsync": "always"}) as server:
        server.client().set("kept", "yes")

        server.pause()
        with pytest.raises(redis.TimeoutError):
            redis.Redis.from_url(server.url(), socket_timeout=0.2, retry=None).ping()
        server.resume()
        server.kill()
        with pytest.raises(redis.ConnectionError):
            server.client().ping()
        server.start()

        assert server.client().get("kept") == "yes"


def test_a_fresh_redis_url_is_empty(redis_url: str) -> None:
    assert redis.Redis.from_url(redis_url).dbsize() == 0


def test_servers_and_their_files_go_when_the_tests_are_killed() -> None:
    program = (
        "import time; from servers import PrivateMariaDB, PrivateRedis\n"
        "started = [PrivateMariaDB().start(), PrivateRedis().start()]\n"
        "print(*[word for each in started for word in (each.pid, each.directory)], flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TESTS)}
    )
    assert starter.stdout is not None
    mariadb_pid, mariadb_directory, redis_pid, redis_directory = starter.stdout.readline().split()
    assert is_alive(int(mariadb_pid))
    assert is_alive(int(redis_pid))

    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids = [pid for pid in (mariadb_pid, redis_pid) if is_alive(int(pid))]
        directories = [path for path in (mariadb_directory, redis_directory) if Path(path).exists()]
        if not pids and not directories:
            break
        time.sleep(0.05)
    assert pids == []
    assert directories == []


def test_a_stopped_server_leaves_no_files() -> None:
    server = PrivateRedis().start()

    server.stop()

    assert not server.directory.exists()


def test_a_ledger_is_migrated_on_both_engines(ledger_url: str) -> None:
    with sa.create_engine(ledger_url).connect() as connection:
        assert "schema_version_log" in sa.inspect(connection).get_table_names()
