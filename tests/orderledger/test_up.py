"""Everything by one command: it starts on nothing, keeps its data over several starts, and stops in order."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3

from ledger.database import open_engine
from ledger.settings import LedgerSettings
from submissions import prove

KEY = "olk_demo_key_for_the_tests_0123456789"
ROOT = Path(__file__).parent.parent.parent
READY_S_MAX = 60


def start(data: Path, *, how: str = "--demo") -> tuple[subprocess.Popen[str], str]:
    environment = {**os.environ, "ORDERLEDGER_DEMO_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orderledger", "up", "--data", str(data), "--port", "0", how]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    ends_at_s = time.monotonic() + READY_S_MAX
    for line in process.stderr:
        if "is ready at" in line:
            return process, line.split("is ready at ")[1].split()[0]
        assert time.monotonic() < ends_at_s, line
    raise AssertionError(f"it ended with {process.wait()}")


def stop(process: subprocess.Popen[str], how: signal.Signals) -> int:
    process.send_signal(how)
    return process.wait(40)


def get(address: str, path: str) -> dict[str, object]:
    answer = urllib3.request("GET", address + path, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status == 200, answer.data
    found: dict[str, object] = answer.json()
    return found


def status(address: str, path: str) -> int:
    return int(urllib3.request("GET", address + path, headers={"Authorization": f"Bearer {KEY}"}).status)


def embedded_redis(process: subprocess.Popen[str]) -> str:
    listed = subprocess.run(["pgrep", "-P", str(process.pid), "valkey"], capture_output=True, text=True, check=False)
    return listed.stdout.strip()


@pytest.mark.timeout(200)
def test_it_starts_on_nothing_keeps_its_data_and_stops_in_order(tmp_path: Path) -> None:
    data = tmp_path / "var"
    process, address = start(data)
    first = get(address, "/v1/customers")
    statuses = {each["status"] for each in get(address, "/v1/orders?limit=200")["data"]}  # type: ignore[attr-defined]
    assert len(first["data"]) == 6  # type: ignore[arg-type]
    assert {"executing", "completed", "failed", "cancelled", "needs_review"} <= statuses
    assert len(get(address, "/v1/products")["data"]) == 4  # type: ignore[arg-type]
    assert len(get(address, "/v1/levels")["data"]) == 3  # type: ignore[arg-type]
    assert stop(process, signal.SIGINT) == 0

    for how in (signal.SIGTERM, signal.SIGINT):
        process, address = start(data)
        assert get(address, "/v1/customers") == first
        assert stop(process, how) == 0

    engine = open_engine(f"sqlite:///{data / 'ledger.sqlite'}", LedgerSettings())
    prove(engine)
    engine.dispose()
    left = subprocess.run(["pgrep", "-f", str(data)], capture_output=True, check=False).stdout
    assert left == b""


@pytest.mark.timeout(120)
def test_other_commands_find_the_running_service_by_its_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "var"
    process, address = start(data)
    environment = {**os.environ, "ORDERLEDGER_DATA": str(data), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orderledger", "projections", "status", "--json"]

    shown = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    assert {each["name"] for each in shown["projections"]} == {"balances", "orders", "transactions"}
    assert shown["head"] >= 50
    second = subprocess.run(
        [*command[:3], "up"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode == 2
    assert address
    assert stop(process, signal.SIGTERM) == 0


@pytest.mark.timeout(120)
def test_an_embedded_redis_that_dies_is_started_again(tmp_path: Path) -> None:
    data = tmp_path / "var"
    process, address = start(data)
    killed = embedded_redis(process)
    os.kill(int(killed), signal.SIGKILL)

    ends_at_s = time.monotonic() + READY_S_MAX
    while embedded_redis(process) in ("", killed) or status(address, "/v1/orders") != 200:
        assert time.monotonic() < ends_at_s
        time.sleep(0.1)

    assert get(address, "/readyz")["status"] == "ready"
    assert stop(process, signal.SIGINT) == 0
    assert subprocess.run(["pgrep", "-f", str(data)], capture_output=True, check=False).stdout == b""
