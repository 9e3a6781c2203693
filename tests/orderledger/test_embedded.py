"""The embedded Redis: found by its directory, kept across restarts, never two on the same files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from orderledger import embedded, up
from orderledger.embedded import EmbeddedRedis, EmbeddedRedisUnavailable, is_running, redis_url


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def wait_for(condition, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_it_answers_at_the_url_that_the_data_directory_tells(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.url == redis_url(tmp_path)
        assert connect(redis_url(tmp_path)).ping()
        assert is_running(tmp_path)
        assert not server.died()

    assert not is_running(tmp_path)


def test_it_listens_on_no_port_and_keeps_its_socket_to_its_user(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        configuration = connect(server.url).config_get("*")

        assert configuration["port"] == "0"
        assert configuration["appendonly"] == "yes"
        assert configuration["appendfsync"] == "everysec"
        assert configuration["save"] == ""
        assert configuration["maxmemory-policy"] == "noeviction"
        assert configuration["hash-max-listpack-entries"] == "512"
        assert configuration["zset-max-listpack-entries"] == "128"
        assert Path(configuration["unixsocket"]).stat().st_mode & 0o777 == 0o700


def test_what_it_holds_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        connect(server.url).set("kept", "yes")

    with EmbeddedRedis(tmp_path) as server:
        assert connect(server.url).get("kept") == "yes"


def test_relative_and_absolute_paths_name_the_same_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert redis_url("var") == redis_url(tmp_path / "var")


@pytest.mark.parametrize("name", ["a b", "账本", "100%25?x=1#y", 'quote"d'])
def test_a_directory_of_any_name_will_do(tmp_path: Path, name: str) -> None:
    with EmbeddedRedis(tmp_path / name) as server:
        assert connect(server.url).ping()


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)

    with EmbeddedRedis(deep) as server:
        assert connect(redis_url(deep)).ping()
        assert is_running(deep)
        socket_directory = server.url.removeprefix("unix://").split("/redis.sock")[0]
        assert socket_directory.startswith("/tmp/orderledger-")
        assert Path(socket_directory).stat().st_mode & 0o777 == 0o700

    assert not Path(socket_directory).exists()


def test_a_second_start_on_the_same_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_S_MAX", 0.1)
    with EmbeddedRedis(tmp_path) as server:
        with pytest.raises(EmbeddedRedisUnavailable, match=f"in use by another .* \\(process {os.getpid()}\\).*--data"):
            EmbeddedRedis(tmp_path).start()

        assert connect(server.url).ping()


def test_a_killed_starter_takes_the_server_along_and_the_next_start_succeeds(tmp_path: Path) -> None:
    program = (
        "import sys, time; from orderledger.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis(sys.argv[1]); server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    connect(redis_url(tmp_path)).set("kept", "yes")

    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    with EmbeddedRedis(tmp_path) as server:
        assert server.pid != pid
        assert connect(server.url).get("kept") == "yes"


def test_ctrl_c_on_the_starter_does_not_reach_the_server(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_server_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)

        assert wait_for(server.died)


def test_a_damaged_file_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        connect(server.url).set("key", "value")
    manifest = tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")

    with pytest.raises(EmbeddedRedisUnavailable, match=r"ended while starting.*can be rebuilt: move"):
        EmbeddedRedis(tmp_path).start()

    manifest.parent.rename(tmp_path / "away")
    with EmbeddedRedis(tmp_path) as server:
        assert connect(server.url).dbsize() == 0


def test_without_the_extra_a_server_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "_bundled_executable", lambda: None)
    on_path = tmp_path / "valkey-server"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert embedded.server_executable() == on_path


def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "_bundled_executable", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EmbeddedRedisUnavailable, match=r"ORDERLEDGER_REDIS_URL.*orderledger\[embedded\].*redis-server"):
        embedded.server_executable()


@pytest.mark.parametrize("hindrance", ["it ends at once", "it cannot be run"])
def test_a_server_that_could_not_be_started_again_is_tried_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hindrance: str
) -> None:
    data, executable, hindered = tmp_path / "var", tmp_path / "server", tmp_path / "hindered"
    executable.write_text(f'#!/bin/sh\n[ -e "{hindered}" ] && exit 1\nexec "{embedded.server_executable()}" "$@"\n')
    executable.chmod(0o755)
    monkeypatch.setattr(embedded, "server_executable", lambda: executable)
    with up._embedded_redis(data):
        if hindrance == "it ends at once":
            hindered.touch()
        else:
            executable.chmod(0o600)
        os.kill(connect(redis_url(data)).info("server")["process_id"], signal.SIGKILL)
        time.sleep(1.0)
        was_away = not is_running(data)
        hindered.unlink(missing_ok=True)
        executable.chmod(0o755)

        assert was_away and wait_for(lambda: is_running(data))
    assert not is_running(data)
