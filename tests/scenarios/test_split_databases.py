"""The directory in a database of its own, on a second MariaDB or on SQLite, while the log is on MariaDB."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.test import TestResponse

from api.application import close, create_app
from browser import Browser
from directory_front import Front
from ledger.directory.customers import reconcile
from ledger.migrate import upgrade
from ledger.revisions import head
from orderledger.command_line import group
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove
from till import Till, new_key, open_till

_NUMBERS = itertools.count(1)
SERVICE = "service"
MIGRATED = "migrated"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def logs() -> Iterator[PrivateMariaDB]:
    """The log's server, which tests take away and bring back; with a migrated log to copy."""
    with PrivateMariaDB() as server:
        upgrade(server.create_database(MIGRATED), histories=("log",))
        yield server


@pytest.fixture(scope="module")
def directories() -> Iterator[PrivateMariaDB]:
    """The directory's server, which tests take away and bring back; with a migrated directory to copy."""
    with PrivateMariaDB() as server:
        upgrade(server.create_database(MIGRATED), histories=("directory",))
        yield server


@pytest.fixture(scope="module")
def directory_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated directory on SQLite to copy."""
    path = tmp_path_factory.mktemp("directory") / "migrated.sqlite"
    upgrade("sqlite://", f"sqlite:///{path}", histories=("directory",))
    return path


@dataclass(frozen=True, slots=True)
class Split:
    """Two databases, migrated by an administrator; `environment` is the service's, with the least privileges on each."""

    environment: dict[str, str]
    administrator: dict[str, str]
    data: Path

    def run(self, *arguments: str, standard_input: str | None = None, administrator: bool = False) -> Result:
        environment = self.administrator if administrator else self.environment
        return CliRunner().invoke(group, arguments, input=standard_input, env=environment)

    def named(self, **changes: str) -> Split:
        more = {f"ORDERLEDGER_{name}": value for name, value in changes.items()}
        return Split({**self.environment, **more}, {**self.administrator, **more}, self.data)


def new_split(
    logs: PrivateMariaDB, directory: PrivateMariaDB | Path, redis_server: PrivateRedis, folder: Path
) -> Split:
    name = f"split_{next(_NUMBERS)}"
    logs.create_database(name)
    logs.copy_database(MIGRATED, name)
    administrator = {
        "ORDERLEDGER_DATABASE_URL": logs.tcp_url(name),
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
        "ORDERLEDGER_DATA": str(folder),
        "ORDERLEDGER_SECRET_KEY": "T4v9xQm2LkZ7cW0hYp3RbN8sJd6FgA1e-split",
        "ORDERLEDGER_DIRECTORY_URL": f"sqlite:///{folder / name}.sqlite",
    }
    if isinstance(directory, Path):
        shutil.copyfile(directory, folder / f"{name}.sqlite")
    else:
        directory.create_database(f"{name}_directory")
        directory.copy_database(MIGRATED, f"{name}_directory")
        administrator["ORDERLEDGER_DIRECTORY_URL"] = directory.tcp_url(f"{name}_directory")
    return Split(administrator, administrator, folder)


def served(split: Split, logs: PrivateMariaDB, directory: PrivateMariaDB | Path) -> Split:
    """Make the service's users by what `db grants` prints for each server."""
    printed = split.run("db", "grants", "--user", SERVICE, "--host", "%", administrator=True).stdout
    directories = None if isinstance(directory, Path) else directory
    servers = {"log": logs, "directory": directories}
    environment = dict(split.administrator)
    where: PrivateMariaDB | None = None
    for server in (logs, directories):
        if server is not None:
            server.execute(f"CREATE USER IF NOT EXISTS '{SERVICE}'@'%'")
    for line in printed.splitlines():
        if line.startswith("-- on the "):
            where = servers[line.split("the ")[1].split("'s")[0]]
        elif line and not line.startswith("-- "):
            assert where is not None, line
            where.execute(line.rstrip(";"))
    applied = split.run("db", "grants", "--user", SERVICE, "--host", "%", "--apply", administrator=True)
    assert applied.exit_code == 0, applied.output
    for variable, server in (("DATABASE_URL", logs), ("DIRECTORY_URL", directories)):
        if server is not None:
            name = f"ORDERLEDGER_{variable}"
            environment[name] = environment[name].replace("root@", f"{SERVICE}@")
    return Split(environment, split.administrator, split.data)


@pytest.fixture(params=["mariadb", "sqlite"])
def split(
    request: pytest.FixtureRequest,
    logs: PrivateMariaDB,
    directories: PrivateMariaDB,
    directory_file: Path,
    redis_server: PrivateRedis,
    redis_url: str,
    tmp_path: Path,
) -> Split:
    assert redis_url
    other = directories if request.param == "mariadb" else directory_file
    return served(new_split(logs, other, redis_server, tmp_path), logs, other)


@pytest.fixture
def on_mariadb(
    logs: PrivateMariaDB, directories: PrivateMariaDB, redis_server: PrivateRedis, redis_url: str, tmp_path: Path
) -> Iterator[Split]:
    assert redis_url
    yield served(new_split(logs, directories, redis_server, tmp_path), logs, directories)
    for server in (logs, directories):
        if not server.is_running:
            server.start()


@dataclass(frozen=True, slots=True)
class Service:
    """The API on a split, as an administrator with a key."""

    till: Till

    @property
    def front(self) -> Front:
        return self.till.front

    def try_(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Ask, whatever the answer is."""
        sent = {"Authorization": f"Bearer {self.front.secret}", "Idempotency-Key": new_key()}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "GET":
            del sent["Idempotency-Key"]
        return self.front.app.test_client().open(f"/v1/{path}", method=method, json=body, headers=sent)

    def try_recharge(self) -> int:
        return self.try_("POST", f"customers/{self.till.customer_id}/recharges", {"amount": "1.00"}).status_code

    def ready(self) -> TestResponse:
        return self.front.app.test_client().get("/readyz")


@pytest.fixture
def open_service() -> Iterator[Callable[[Split], Service]]:
    apps = []

    def opened(split: Split) -> Service:
        app = create_app(split.environment)
        apps.append(app)
        key = split.run("api-key", "create", "--name", "root", "--role", "admin").stdout.strip()
        front = Front(app, app.extensions["services"](), key)
        known = front.list("customers")
        return Service(Till(front, known[0]["id"]) if known else open_till(front))

    yield opened
    for app in apps:
        close(app)


def until(is_so: Callable[[], bool], *, s_max: float = 20.0) -> None:
    ends_at_s = time.monotonic() + s_max
    while not is_so():
        assert time.monotonic() < ends_at_s, "it was not so in time"
        time.sleep(0.1)


def test_one_story_through_both_databases(
    split: Split, open_service: Callable[[Split], Service], tmp_path: Path
) -> None:
    assert split.run("bootstrap-admin", "--username", "admin", standard_input=f"{PASSWORD}\n").exit_code == 0
    service = open_service(split)
    till = service.till

    assert till.recharge("100.00", memo="first").status_code == 201
    order_id = till.place(100).json["order"]["id"]
    cancelled = till.post(f"orders/{order_id}/cancellation", {})
    level = service.front.create("levels", name="Silver", discount_percent="80")
    changed = service.front.ask("PATCH", f"customers/{till.customer_id}", {"level_id": level["id"]})
    cheaper = till.place(100)
    till.drain()
    found = till.get("orders?customer_name=王")
    browser = Browser(service.front.app)
    assert browser.log_in("admin").status_code == 201

    assert (cancelled.status_code, changed.status_code) == (201, 200)
    assert cheaper.json["order"]["amount"] == "8.00"
    assert [each["customer_name"] for each in found.json["data"]] == ["王芳"] * 2
    assert browser.me()["role"] == "admin"
    assert service.ready().json["checks"]["directory"] == {"ok": True}
    assert prove(service.front.services.engine) == int(till.get("events").headers["Ledger-Position"])

    current = json.loads(split.run("db", "current", "--json").stdout)["histories"]
    assert {each["history"]: each["current"] for each in current} == {name: head(name) for name in ("log", "directory")}
    doctor = json.loads(split.run("doctor", "--json").stdout)["findings"]
    assert [each for each in doctor if each["state"] == "bad"] == []
    assert sum(each["finding"] == "has limited privileges" for each in doctor) == (
        2 if "mysql" in split.environment["ORDERLEDGER_DIRECTORY_URL"] else 1
    )

    till.post(f"orders/{cheaper.json['order']['id']}/cancellation", {})
    erased = split.run("erase-customer", till.customer_id, administrator=True)
    assert erased.exit_code == 0, erased.output
    assert service.front.read("customers", till.customer_id)["name"] == ""
    assert till.get("events").json["data"][-1]["type"] == "customer.erased"
    assert till.deduct("1.00").status_code == 409


def test_a_split_ledger_is_backed_up_and_restored_into_one_database_and_back(
    split: Split,
    open_service: Callable[[Split], Service],
    logs: PrivateMariaDB,
    directory_file: Path,
    redis_server: PrivateRedis,
    tmp_path: Path,
) -> None:
    service = open_service(split)
    service.till.recharge("100.00")
    position = service.till.place(10).json["position"]
    copy, again = tmp_path / "copy", tmp_path / "again"

    assert split.run("backup", str(copy), administrator=True).exit_code == 0
    whole = Split({}, {}, tmp_path).named(
        DATABASE_URL=f"sqlite:///{tmp_path / 'whole.sqlite'}", REDIS_URL=redis_server.url(), DATA=str(tmp_path)
    )
    for arguments in (("db", "upgrade"), ("restore", str(copy)), ("backup", str(again))):
        done = whole.run(*arguments)
        assert done.exit_code == 0, done.output
    parted = new_split(logs, directory_file, redis_server, tmp_path)
    done = parted.run("restore", str(again))
    assert done.exit_code == 0, done.output

    restored = open_service(parted)
    assert int(restored.till.get("events/1").headers["Ledger-Position"]) >= position
    engine = restored.front.services.engine
    assert prove(engine) >= position
    reconcile(restored.front.services.directory, restored.front.services.ledger)
    customer = restored.front.read("customers", service.till.customer_id)
    balance = restored.front.ask("GET", f"customers/{service.till.customer_id}/balance")
    assert (customer["name"], balance.json["total"]) == ("王芳", "100.00")


def test_without_the_directory_commands_go_on_for_those_who_are_known(
    on_mariadb: Split, open_service: Callable[[Split], Service], directories: PrivateMariaDB
) -> None:
    service = open_service(on_mariadb)
    assert service.try_recharge() == 201
    order_id = service.till.place(10).json["order"]["id"]
    service.till.drain()
    assert service.try_("GET", "orders").status_code == 200
    assert service.try_("GET", f"orders/{order_id}").status_code == 200

    directories.kill()
    time.sleep(1.5)
    statuses = [service.try_recharge() for _ in range(5)]
    customer = f"customers/{service.till.customer_id}"
    placed = service.try_("POST", "orders", {"customer_id": service.till.customer_id, "product": "sms", "quantity": 5})
    cancelled = service.try_("POST", f"orders/{order_id}/cancellation", {})
    reads = [
        service.try_("GET", path).status_code
        for path in ("events", f"{customer}/balance", f"{customer}/statement", f"orders/{order_id}", "orders")
    ]
    needing = [
        service.try_("GET", customer),
        service.try_("POST", "customers", {"name": "new"}),
        service.try_("PATCH", customer, {"name": "other"}),
        service.try_("GET", "levels"),
    ]
    stranger = service.try_("GET", "events", Authorization="Bearer olk_nobody")
    login = Browser(service.front.app).ask("POST", "session", {"username": "admin", "password": PASSWORD})
    ready = service.ready()
    doctor = json.loads(on_mariadb.run("doctor", "--json").stdout)["findings"]

    assert statuses == [201] * 5
    assert (placed.status_code, cancelled.status_code) == (201, 201)
    assert reads == [200] * 5
    assert [(each.status_code, each.json["code"]) for each in needing] == [(503, "unavailable")] * 4
    assert (stranger.status_code, login.status_code) == (503, 503)
    assert (ready.status_code, ready.json["status"], ready.json["checks"]["directory"]["ok"]) == (
        200,
        "degraded",
        False,
    )
    assert any(each["state"] == "bad" and each["check"] == "directory database" for each in doctor)

    directories.start()
    until(lambda: service.try_("POST", "customers", {"name": "new"}).status_code == 201)
    assert service.ready().json["checks"]["directory"] == {"ok": True}


def test_a_key_that_was_not_seen_lately_does_not_count_without_the_directory(
    on_mariadb: Split, open_service: Callable[[Split], Service], directories: PrivateMariaDB
) -> None:
    service = open_service(on_mariadb.named(DIRECTORY_GRACE_S="2"))
    assert service.try_recharge() == 201

    directories.kill()
    time.sleep(1.2)
    within = service.try_recharge()
    time.sleep(2.5)
    beyond = service.try_recharge()

    assert (within, beyond) == (201, 503)


def test_without_the_log_the_directory_is_read_and_changes_are_finished_later(
    on_mariadb: Split, open_service: Callable[[Split], Service], logs: PrivateMariaDB
) -> None:
    assert on_mariadb.run("bootstrap-admin", "--username", "admin", standard_input=f"{PASSWORD}\n").exit_code == 0
    service = open_service(on_mariadb.named(APPEND_TIMEOUT_S="3"))
    customer = f"customers/{service.till.customer_id}"
    level = service.front.create("levels", name="Silver", discount_percent="80")
    gold = service.front.read("customers", service.till.customer_id)["level_id"]
    other = service.front.create("customers", name="李伟", level_id=gold)["id"]

    logs.kill()
    recharged = service.try_("POST", f"{customer}/recharges", {"amount": "1.00"})
    renamed = service.try_("PATCH", customer, {"name": "Ann"})
    moved = service.try_("PATCH", customer, {"level_id": level["id"]})
    repriced = service.try_("PATCH", f"levels/{gold}", {"discount_percent": "70"})
    seen = service.try_("GET", customer)
    listed = service.try_("GET", "products")
    login = Browser(service.front.app).log_in("admin")
    ready = service.ready()

    assert recharged.status_code == 503
    assert (renamed.status_code, seen.status_code, listed.status_code, login.status_code) == (200, 200, 200, 201)
    assert (moved.status_code, moved.json["code"]) == (503, "outcome-unknown")
    assert (repriced.status_code, repriced.json["code"]) == (503, "outcome-unknown")
    assert (seen.json["name"], seen.json["level_id"]) == ("Ann", level["id"])
    assert ready.status_code == 503

    logs.start()
    services = service.front.services
    until(lambda: service.try_recharge() == 201)
    assert reconcile(services.directory, services.ledger) >= 1
    placed = service.till.place(10)
    assert placed.json["order"]["discount_percent"] == "80"
    assert services.ledger.accounts([other])[other].discount_percent == "70"


def test_each_schema_is_brought_up_by_itself(
    logs: PrivateMariaDB, directories: PrivateMariaDB, redis_server: PrivateRedis, tmp_path: Path
) -> None:
    split = new_split(logs, directories, redis_server, tmp_path)
    logs.create_database("empty_log")
    directories.create_database("empty_directory")
    urls = {"DATABASE_URL": logs.tcp_url("empty_log"), "DIRECTORY_URL": directories.tcp_url("empty_directory")}
    empty = split.named(**urls)

    def revisions(which: Split) -> Mapping[str, str | None]:
        listed = json.loads(which.run("db", "current", "--json").stdout)["histories"]
        return {each["history"]: each["current"] for each in listed}

    before = revisions(empty)
    only_directory = empty.run("db", "upgrade", "--only", "directory")
    halfway = revisions(empty)
    both = empty.run("db", "upgrade")
    gone = empty.named(DIRECTORY_URL="mysql+pymysql://root@127.0.0.1:1/none")
    away = gone.run("db", "upgrade")
    unknown = gone.run("db", "current")

    assert before == {"log": None, "directory": None}
    assert halfway == {"log": None, "directory": head("directory")}
    assert f"directory: {head('directory')}" in only_directory.output and "log:" not in only_directory.output
    assert f"log: {head('log')}" in both.output and f"directory: {head('directory')}" in both.output
    assert revisions(empty) == {"log": head("log"), "directory": head("directory")}
    assert (away.exit_code, "directory's database" in away.output, "Traceback" in away.output) == (2, True, False)
    assert unknown.exit_code == 2
    for server, name in ((logs, "empty_log"), (directories, "empty_directory")):
        tables = {row[0] for row in server.execute("SHOW TABLES", name)}
        assert ("events" in tables, "customers" in tables) == (name == "empty_log", name == "empty_directory")
