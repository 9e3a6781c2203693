"""The files of deploy/ fit the programs that read them, and each other."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from api.safe_settings import findings_of_settings, processes_of
from ledger.settings import FILE, PREFIX
from orderledger.command_line import group
from orderledger.surroundings import known_settings
from servers import PrivateMariaDB

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE_MAX = 20
"""In tenths; systemd calls below 3 "OK", and 9.6 is a service without any of it."""
CALLS_OTHERS = {
    ("api",): "sends login codes",
    ("worker", "agent"): "asks executors",
    ("worker", "webhooks"): "delivers to who subscribed",
    ("worker", "maintenance"): "publishes checkpoints",
}
"""Roles that must reach the world outside, and why."""


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def is_setting(variable: str) -> bool:
    names = {PREFIX + each.variable for each in known_settings()}
    return variable in names | {PREFIX + each.variable + FILE for each in known_settings() if each.secret}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.name)
def test_a_unit_is_understood_and_shut_in(unit: Path, tmp_path: Path) -> None:
    # A program that is here, and an instance, or the check would find neither.
    text = unit.read_text().replace("/opt/orderledger/bin/orderledger", sys.executable)
    copy = tmp_path / unit.name.replace("@", "@8001" if "api" in unit.name else "@agent")
    copy.write_text(re.sub(r"^(User|Group)=.*\n", "", text, flags=re.MULTILINE) + "\n")

    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    score = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )

    assert [line for line in checked.stderr.splitlines() if copy.name in line] == []
    assert score.returncode == 0, score.stdout[-200:] + score.stderr


def test_every_variable_and_command_of_the_files_exists() -> None:
    services = compose()["services"]
    variables = {name for each in services.values() for name in each.get("environment", {}) if name.startswith(PREFIX)}
    variables |= set(re.findall(r"(ORDERLEDGER_\w+)=", (DEPLOY / "Containerfile").read_text()))
    variables |= {name for unit in UNITS for name in re.findall(r"(ORDERLEDGER_\w+)=", unit.read_text())}

    assert len(variables) > 6
    assert [each for each in variables if not is_setting(each)] == []
    commands = [
        each["command"] for each in services.values() if "orderledger" in each["image"] and "entrypoint" not in each
    ]
    for command in commands:
        found: Any = group
        for word in command:
            found = found.commands[word]


def test_every_secret_and_file_that_the_composition_names_is_made_or_there() -> None:
    found = compose()
    declared = found["secrets"]
    used = {name for each in found["services"].values() for name in each.get("secrets", ())}
    made = (DEPLOY / "make-secrets").read_text()

    assert set(declared) == used
    assert [name for name in declared if name not in made] == []
    mounted = [
        volume.split(":")[0]
        for each in found["services"].values()
        for volume in each.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted
    assert [each for each in mounted if not (DEPLOY / each).exists()] == []
    filled = set(found["services"]["nginx"]["environment"])
    assert set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "nginx.conf").read_text())) == filled


def test_who_calls_others_has_a_way_out_and_nobody_else() -> None:
    services = compose()["services"]

    has_way_out = {name for name, each in services.items() if "outside" in each["networks"]}

    callers = {name for name, each in services.items() if tuple(each.get("command", ())) in CALLS_OTHERS}
    assert {tuple(services[name]["command"]) for name in callers} == set(CALLS_OTHERS)
    assert has_way_out == {*callers, "nginx"}
    assert compose()["networks"]["inside"]["internal"]


def test_the_addresses_that_nginx_looks_up_once_stay() -> None:
    found = compose()
    (given_out,) = found["networks"]["inside"]["ipam"]["config"]
    subnet, others = ip_network(given_out["subnet"]), ip_network(given_out["ip_range"])

    fixed = {
        each["networks"]["inside"]["ipv4_address"]
        for each in found["services"].values()
        if each.get("command") == ["api"]
    }

    upstreams = {found["services"]["nginx"]["environment"][name] for name in ("API_ONE", "API_TWO")}
    assert upstreams == {f"{address}:8000" for address in fixed} and len(fixed) == 2
    assert others.subnet_of(subnet)
    assert all(ip_address(address) in subnet and ip_address(address) not in others for address in fixed)


def test_what_the_documents_run_in_containers_is_there_and_the_doctor_looks_as_the_service() -> None:
    services = compose()["services"]
    text = (ROOT / "docs" / "deployment.md").read_text()
    shown = [(name, words.split()) for name, words in re.findall(r"compose\.yaml run --rm (\S+) ([^#\n]+)", text)]

    for name, words in shown:
        assert "entrypoint" not in services[name] and words[0] in group.commands
    (doctor,) = [services[name] for name, words in shown if words == ["doctor"]]
    assert doctor["environment"]["ORDERLEDGER_DATABASE_URL_FILE"] == "/run/secrets/database_url"


@pytest.mark.parametrize("document", ["README.md", "docs/high-availability.md"])
def test_no_start_is_refused_for_a_url_that_a_document_shows(document: str) -> None:
    text = (ROOT / document).read_text()

    urls = re.findall(r"ORDERLEDGER_DATABASE_URL=['\"](.+?)['\"]", text)

    assert urls
    for url in urls:
        found = {each["check"]: each["finding"] for each in findings_of_settings({"ORDERLEDGER_DATABASE_URL": url})}
        assert "secret key" in found and "database password" not in found, found


@pytest.mark.parametrize("document", ["README.md", "docs/backup.md"])
def test_grants_in_a_document_are_for_the_user_that_it_makes(document: str) -> None:
    text = (ROOT / document).read_text()

    (host,) = re.findall(r"CREATE USER orderledger@'(\S+)'", text)

    assert re.findall(r"orderledger db grants ([^\n]*--apply)", text) == [f"--host {host} --apply"]


def test_the_connections_of_a_process_are_those_that_the_doctor_counts() -> None:
    one, _ = processes_of({})

    assert f"which is {one} unless" in (DEPLOY / "mariadb.cnf").read_text()


def test_the_image_gets_every_package_of_ours() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    packages = {each.strip().rstrip("*") for each in settings["options.packages.find"]["include"].split() if each}

    assert {name for name, _ in re.findall(r"^COPY (\w+) (\w+)$", text, re.MULTILINE)} == packages


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets", tmp_path)

    for _ in range(2):
        subprocess.run([str(tmp_path / "make-secrets")], check=True, capture_output=True)
        found = {each.name: each.read_text() for each in (tmp_path / "secrets").iterdir()}
        assert all(each.stat().st_mode & 0o077 == 0 for each in (tmp_path / "secrets").iterdir())

    assert found["mariadb_password"].strip() in found["database_url"]
    assert len(found["secret_key"].strip()) == 64
    assert {*found, "tls_certificate", "tls_key"} == set(compose()["secrets"])


def test_our_mariadb_settings_are_taken_and_leave_the_doctor_nothing_to_mend(tmp_path: Path) -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(DEPLOY / "mariadb.cnf")
    options = {name.replace("_", "-"): value for name, value in settings["mariadbd"].items()}
    small = {"innodb-buffer-pool-size": "64M", "log-bin": str(tmp_path / "binlog")}
    with PrivateMariaDB(binlog=True, options=options | small) as server:
        admin = server.create_database("ledger")
        server.execute("CREATE USER 'orderledger'@'%' IDENTIFIED BY 'Xq7vLr2mZt9w'")
        server.execute("GRANT ALL ON ledger.* TO 'orderledger'@'%'")
        for statement in re.sub(r"^--.*$", "", (DEPLOY / "mariadb-init.sql").read_text(), flags=re.MULTILINE).split(
            ";"
        ):
            if statement.strip():
                server.execute(statement)
        service_url = f"mysql+pymysql://orderledger:Xq7vLr2mZt9w@127.0.0.1:{server.port}/ledger?charset=utf8mb4"
        (tmp_path / "url").write_text(service_url + "\n")
        secret = {"ORDERLEDGER_SECRET_KEY": "of the deployment, 0123456789 abcdef", "ORDERLEDGER_DATA": str(tmp_path)}

        run(admin_environment(admin) | secret, "db", "upgrade")
        run(admin_environment(admin) | secret, "db", "grants", "--host", "%", "--apply")
        environment = secret | {
            "ORDERLEDGER_DATABASE_URL_FILE": str(tmp_path / "url"),
            "ORDERLEDGER_REDIS_URL": "redis://127.0.0.1:1",
        }
        findings = yaml.safe_load(run(environment, "doctor", "--json", exit_code=1))["findings"]
        key = run(environment, "api-key", "create", "--name", "x", "--role", "admin").strip()

        bad = {each["check"]: each["finding"] for each in findings if each["state"] == "bad"}
        assert {name for name in bad if "redis" not in name.lower()} == set(), bad
        assert key
        engine = sa.create_engine(service_url)
        with engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="denied"):
            connection.exec_driver_sql("UPDATE events SET type = 'x'")
        engine.dispose()


def admin_environment(url: str) -> dict[str, str]:
    return {"ORDERLEDGER_DATABASE_URL": url}


def run(environment: dict[str, str], *arguments: str, exit_code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orderledger", *arguments],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout
