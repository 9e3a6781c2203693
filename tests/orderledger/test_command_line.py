"""The command line as a person and a program use it."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledger.database import open_engine
from ledger.settings import LedgerSettings
from orderledger.command_line import group
from orderledger.surroundings import prepare
from projections.redis_clients import open_redis
from submissions import prove

ROOT = Path(__file__).parent.parent.parent


class Shell:
    """Runs `orderledger` in an environment of its own."""

    def __init__(self, data: Path, redis_url: str) -> None:
        self.data = data
        self.environment = {"ORDERLEDGER_DATA": str(data), "ORDERLEDGER_REDIS_URL": redis_url}

    def start(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it as a process, as a person does. A start takes a second: once for each thing that a test is about."""
        command = [sys.executable, "-m", "orderledger", *arguments]
        env = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it within this process, with the same results."""
        done = CliRunner().invoke(group, arguments, env={**self.environment, **environment}, prog_name="orderledger")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, migrated_sqlite: Path) -> Shell:
    """In a place as `db upgrade` makes it."""
    shell = Shell(tmp_path / "data", redis_url)
    prepare(shell.environment)
    shutil.copyfile(migrated_sqlite, shell.data / "ledger.sqlite")
    return shell


def test_every_command_explains_itself(shell: Shell) -> None:
    commands = (["up"], ["db"], ["import"], ["worker"], ["projections"], ["api-key", "create"], ["doctor"])

    shown = [shell.start("--help"), *(shell.run(*command, "--help") for command in commands)]

    assert [each.returncode for each in shown] == [0] * len(shown)
    assert all(each.stdout.startswith("Usage: orderledger") for each in shown)


def test_the_schema_is_told_and_an_upgrade_that_is_due_is_a_finding(redis_url: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "new", redis_url)
    assert shell.start("db", "upgrade").returncode == 0

    found = shell.start("db", "current", "--json")
    assert (found.returncode, json.loads(found.stdout)["histories"][0]["current"]) == (0, "log_0003")
    assert sorted(each.name for each in shell.data.iterdir()) == ["ledger.sqlite", "secret-key", "signing-key"]

    assert shell.run("db", "current", ORDERLEDGER_DATABASE_URL=f"sqlite:///{tmp_path / 'empty'}").returncode == 1


def test_grants_are_printed_for_the_asked_user(shell: Shell) -> None:
    printed = shell.run("db", "grants", "--user", "svc", "--host", "10.0.0.%", "--database", "books").stdout

    assert "GRANT SELECT, INSERT (position, event_id" in printed
    assert "ON books.events TO 'svc'@'10.0.0.%';" in printed
    assert "DELETE ON books.events" not in printed
    assert shell.run("db", "grants", "--user", "a'b").returncode == 2


def test_an_api_keys_secret_is_alone_on_standard_output(shell: Shell) -> None:
    made = shell.start("api-key", "create", "--name", "till", "--role", "operator")

    assert made.returncode == 0
    assert made.stdout.startswith("olk_")
    assert len(made.stdout.split()) == 1
    refused = shell.start("api-key", "create", "--name", "till", "--role", "nobody")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("orderledger: ")
    assert len(refused.stderr.splitlines()) == 1


def test_a_misspelt_or_unusable_setting_stops_every_command_in_one_line(shell: Shell) -> None:
    for name, value in (
        ("ORDERLEDGER_DATABASE_ULR", "x"),
        ("ORDERLEDGER_POOL_SIZE", "many"),
        ("ORDERLEDGER_CURRENCY", "XXX"),
    ):
        refused = shell.run("db", "current", **{name: value})
        assert refused.returncode == 2
        assert name in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    started = shell.start("db", "current", **{name: value})
    assert (started.returncode, started.stderr) == (refused.returncode, refused.stderr)


def test_the_doctor_finds_what_is_unsafe_and_says_how_to_mend_it(shell: Shell, redis_url: str) -> None:
    assert shell.run("doctor").returncode == 0

    (shell.data / "secret-key").chmod(0o644)
    found = shell.start("doctor", "--json")
    bad = [each for each in json.loads(found.stdout)["findings"] if each["state"] == "bad"]
    assert found.returncode == 1
    assert [each["check"] for each in bad] == ["secret file"]
    assert bad[0]["mend"].startswith("chmod 600")
    away = shell.run("doctor", "--json", ORDERLEDGER_REDIS_URL="redis://127.0.0.1:1/0")
    assert away.returncode == 1


def test_the_secret_is_private_and_never_shown(shell: Shell) -> None:
    secret = shell.data / "secret-key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600

    shown = shell.start(
        "settings", ORDERLEDGER_SECRET_KEY="hush", ORDERLEDGER_DATABASE_URL="mysql+pymysql://u:hush@db/x"
    )

    assert shown.returncode == 0
    assert "hush" not in shown.stdout
    assert "ORDERLEDGER_SECRET_KEY = (set, not shown)" in shown.stdout


def engine_of(shell: Shell):  # type: ignore[no-untyped-def]
    return open_engine(f"sqlite:///{shell.data / 'ledger.sqlite'}", LedgerSettings())


def customers(shell: Shell, count: int) -> list[str]:
    from ledger.append import Ledger
    from ledger.directory import customers as directory_customers
    from ledger.directory.customers import Asker
    from ledger.directory.directory import Directory

    engine = engine_of(shell)
    ledger = Ledger(engine, LedgerSettings())
    contents = [{"name": f"c{number}", "currency": "CNY"} for number in range(count)]
    made = directory_customers.create(Directory(engine), ledger, contents, Asker(actor="key:t", correlation_id="t"))
    ledger.close()
    engine.dispose()
    return [each["id"] for each in made]


def test_an_import_posts_each_line_tells_each_result_and_never_doubles(shell: Shell, tmp_path: Path) -> None:
    one, two = customers(shell, 2)
    lines = [
        {"type": "recharge", "customer_id": one, "amount": "10.00", "memo": "first"},
        {"type": "deduction", "customer_id": one, "amount": "99.00"},
        {"type": "recharge", "customer_id": two, "amount": "1e3"},
        "not an object",
        {"type": "recharge", "customer_id": two, "amount": "5", "idempotency_key": "mine"},
    ]
    file = tmp_path / "commands.ndjson"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n{broken\n", encoding="utf-8")

    first = shell.start("import", str(file), "--json")
    again = shell.run("import", str(file), "--json")
    (tmp_path / "commands.ndjson.results.ndjson").unlink()
    anew = shell.run("import", str(file), "--json")

    assert (first.returncode, again.returncode, anew.returncode) == (1, 1, 1)
    counts = {"accepted": 2, "refused": 1, "invalid": 3, "lines": 6}
    for run, replayed in ((first, 0), (again, 0), (anew, 3)):
        summary = json.loads(run.stdout)
        assert {name: summary[name] for name in counts} == counts
        assert summary["replayed"] == replayed
    results = [
        json.loads(line) for line in (tmp_path / "commands.ndjson.results.ndjson").read_text("utf-8").splitlines()[1:]
    ]
    assert [each["state"] for each in results] == ["accepted", "refused", "invalid", "invalid", "accepted", "invalid"]
    assert results[1]["problem"]["code"] == "insufficient-funds"
    engine = engine_of(shell)
    assert prove(engine) == 4
    engine.dispose()


def test_an_import_that_was_cut_off_goes_on_where_it_was(shell: Shell, tmp_path: Path) -> None:
    (one,) = customers(shell, 1)
    file = tmp_path / "commands.csv"
    rows = [f"recharge,{one},{number}.00,A-{number}" for number in range(1, 2_501)]
    file.write_text("type,customer_id,amount,reference\n" + "\n".join(rows) + "\n", encoding="utf-8")
    results = tmp_path / "commands.csv.results.ndjson"
    assert shell.start("import", str(file)).returncode == 0
    kept = results.read_bytes().splitlines(keepends=True)[:1_200]
    results.write_bytes(b"".join(kept) + b'{"line": 1201, "sta')

    resumed = json.loads(shell.run("import", str(file), "--json").stdout)

    assert (resumed["accepted"], resumed["replayed"], resumed["lines"]) == (2_500, 1_301, 2_500)
    assert len(results.read_bytes().splitlines()) == 2_501
    engine = engine_of(shell)
    assert prove(engine) == 2_501
    engine.dispose()


def test_results_of_another_file_are_not_taken_for_this_ones(shell: Shell, tmp_path: Path) -> None:
    (one,) = customers(shell, 1)
    file = tmp_path / "a.ndjson"
    for amount in ("1", "2"):
        file.write_text(json.dumps({"type": "recharge", "customer_id": one, "amount": amount}) + "\n", encoding="utf-8")
        run = shell.run("import", str(file))

    assert run.returncode == 2
    assert "belongs to another file" in run.stderr


def test_read_models_that_do_not_exist_are_named(shell: Shell) -> None:
    refused = shell.run("projections", "rebuild", "everything")

    assert refused.returncode == 2
    assert "balances, " in refused.stderr


def test_an_audit_tells_clean_from_tampered_and_from_nothing_to_see(shell: Shell) -> None:
    empty = shell.run("audit", "verify", "--json")
    assert (empty.returncode, json.loads(empty.stdout)["status"]) == (2, "cannot tell")

    (one,) = customers(shell, 1)
    clean = shell.start("audit", "verify", "--json", "--workers", "2")
    found = json.loads(clean.stdout)
    assert (clean.returncode, found["status"], found["events"], found["first_bad_position"]) == (0, "clean", 1, None)
    assert set(found) == {"status", "events", "first_bad_position", "finding", "checked", "seconds"}

    engine = engine_of(shell)
    with engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE accounts SET available_minor=5 WHERE account_id='{one}'")
    engine.dispose()
    tampered = shell.start("audit", "verify")
    assert tampered.returncode == 1 and "position 1: " in tampered.stdout and one in tampered.stdout


def test_a_replay_shows_balances_and_orders_as_of_then(shell: Shell, tmp_path: Path) -> None:
    (one,) = customers(shell, 1)
    file = tmp_path / "commands.csv"
    file.write_text(f"type,customer_id,amount\nrecharge,{one},5.00\ndeduction,{one},2.00\n", encoding="utf-8")
    assert shell.run("import", str(file)).returncode == 0

    then = json.loads(shell.run("audit", "replay", "--to", "2", "--json").stdout)
    now = json.loads(shell.run("audit", "replay", "--customer", one, "--json").stdout)
    before = json.loads(shell.run("audit", "replay", "--at", "2020-01-01T00:00:00Z", "--json").stdout)
    shown = shell.start("audit", "replay")

    assert [each["available"] for each in then["accounts"]] == ["5.00"]
    assert [each["available"] for each in now["accounts"]] == ["3.00"] and now["position"] == 3
    assert before["position"] == 0 and before["accounts"] == []
    assert one in shown.stdout and "3.00" in shown.stdout
    assert shell.run("audit", "replay", "--at", "yesterday").returncode == 2
    assert shell.run("audit", "replay", "--customer", "cus_nobody").returncode == 2


def test_a_log_is_sealed_proven_and_checked_from_the_command_line(shell: Shell, tmp_path: Path) -> None:
    assert shell.run("audit", "checkpoint").returncode == 2
    customers(shell, 3)
    key = shell.run("audit", "keys").stdout.strip()
    made = shell.start("audit", "checkpoint", "--seal")
    kept = tmp_path / "kept"
    kept.write_text(made.stdout, "utf-8")
    as_json = json.loads(shell.run("audit", "checkpoint", "--json").stdout)

    assert made.returncode == 0 and as_json["note"] == made.stdout and as_json["size"] == 3
    verified = shell.start("audit", "verify", "--checkpoint", str(kept), "--key", key, "--json")
    assert verified.returncode == 0 and "signatures of checkpoints" in json.loads(verified.stdout)["checked"]

    proof = tmp_path / "event.tlog-proof"
    assert shell.run("audit", "prove", "2", "--output", str(proof)).returncode == 0
    checked = shell.start("audit", "check", str(proof), "--key", key, "--json")
    assert (checked.returncode, json.loads(checked.stdout)["event"]["position"]) == (0, "2")
    assert "proven" in shell.run("audit", "check", str(proof), "--key", key).stdout
    proof.write_text(proof.read_text("utf-8").replace("index 1", "index 0"), "utf-8")
    assert shell.run("audit", "check", str(proof), "--key", key).returncode == 1
    assert shell.run("audit", "prove", "4").returncode == 2
    assert shell.run("audit", "check", str(proof), "--key", "no key").returncode == 2


def test_a_verification_trusts_the_machines_own_key_and_memory_and_no_others(shell: Shell, tmp_path: Path) -> None:
    customers(shell, 2)
    never_sealed = shell.run("audit", "verify")
    assert shell.run("audit", "checkpoint", "--seal").returncode == 0
    mine = json.loads(shell.start("audit", "verify", "--json").stdout)
    other = tmp_path / "other"
    stranger = shell.run("audit", "keygen", "example.org/log", "--file", str(other)).stdout.strip()

    assert never_sealed.returncode == 0
    assert "signatures of checkpoints" in mine["checked"]
    assert shell.run("audit", "verify", "--key", stranger).returncode == 1
    assert shell.run("audit", "verify", "--key", str(other)).returncode == 2, "a signing key is no verifier key"
    # A database that is named is another's log: this machine's key has nothing to say about it.
    named = shell.run("audit", "verify", "--json", ORDERLEDGER_DATABASE_URL=f"sqlite:///{shell.data / 'ledger.sqlite'}")
    assert "signatures of checkpoints" not in json.loads(named.stdout)["checked"]

    engine = engine_of(shell)
    with engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER checkpoints_refuse_delete")
        connection.exec_driver_sql("DELETE FROM checkpoints")
        connection.exec_driver_sql("UPDATE log_head SET position=1")
        connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
        connection.exec_driver_sql("DROP TRIGGER outcomes_refuse_delete")
        for table in ("events", "outcomes", "accounts"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE position=2")
    engine.dispose()
    shortened = shell.start("audit", "verify", "--json")
    assert (shortened.returncode, json.loads(shortened.stdout)["first_bad_position"]) == (1, 2), shortened.stdout


def test_keys_are_made_once_added_on_request_and_never_shown(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "signing"
    made = shell.start("audit", "keygen", "example.org/log", "--file", str(file))
    again = shell.run("audit", "keygen", "example.org/log", "--file", str(file))
    added = shell.run("audit", "keygen", "--add", "--file", str(file))
    listed = shell.run("audit", "keys", ORDERLEDGER_SIGNING_KEY_FILE=str(file))

    assert made.returncode == added.returncode == 0 and made.stdout.startswith("example.org/log+")
    assert again.returncode == 2 and "--add" in again.stderr
    assert listed.stdout == added.stdout + made.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for shown in (made, again, added, listed):
        assert not any(line.split("+", 4)[4] in shown.stdout + shown.stderr for line in file.read_text().split())
    assert shell.run("audit", "keygen").returncode == 2
    assert shell.run("audit", "keygen", "two words", "--file", str(tmp_path / "n")).returncode == 2
    assert shell.run("audit", "keygen", "name", "--add").returncode == 2


def test_read_models_are_verified_on_request(shell: Shell) -> None:
    (one,) = customers(shell, 1)
    missing = shell.run("audit", "verify", "--read-models", "--json")
    for name in ("balances", "orders", "transactions"):
        assert shell.run("projections", "rebuild", name).returncode == 0
    equal = shell.start("audit", "verify", "--read-models", "--json")
    client = open_redis(shell.environment["ORDERLEDGER_REDIS_URL"])
    (key,) = [key for key in client.keys("*") if client.type(key) in (b"hash", "hash") and client.hexists(key, one)]
    client.hset(key, one, "CNY|1|0|1|1")
    other = shell.run("audit", "verify", "--read-models", "--json")

    assert (missing.returncode, json.loads(missing.stdout)["status"]) == (2, "cannot tell"), missing.stdout
    assert equal.returncode == 0 and "read models equal to a replay" in json.loads(equal.stdout)["checked"]
    assert (other.returncode, json.loads(other.stdout)["status"]) == (1, "tampered")
    assert "projections diff balances" in json.loads(other.stdout)["finding"]
