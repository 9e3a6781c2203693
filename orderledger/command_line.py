"""The `orderledger` command: every part of the service, started and looked after from one place.

Exit codes: 0 good, 1 a finding, 2 cannot tell or wrong use. Errors are one line on standard error that says what to do.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from ledger.errors import LedgerError, UnsafeStart
from orderledger.audit import audit_group

EXIT_FINDING, EXIT_CANNOT_TELL = 1, 2


class Commands(click.Group):
    """A group whose commands end in one line when the ledger says no."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; turn a LedgerError into exit code 2 and its message, a refused start into 1 and a line each."""
        try:
            return super().invoke(context)
        except UnsafeStart as error:
            for line in error.lines:
                _say_refused(line)
            context.exit(EXIT_FINDING)
        except LedgerError as error:
            click.echo(f"orderledger: {error}", err=True)
            context.exit(EXIT_CANNOT_TELL)


def main() -> None:
    """Run the command line."""
    group(prog_name="orderledger")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orderledger", message="%(version)s")
def group() -> None:
    """An event-sourced ledger of prepaid money and orders.

    Settings come from ORDERLEDGER_… variables; without any, everything lives in ./var on SQLite and an embedded Redis.
    """


# -- the whole service ---------------------------------------------------------------------------------------------


@group.command("up")
@click.option("--data", metavar="DIR", help="Where the embedded default keeps its data (ORDERLEDGER_DATA, else ./var).")
@click.option("--host", metavar="H", help="Address to listen on (ORDERLEDGER_HOST, else 127.0.0.1).")
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="Port to listen on; 0 picks a free one.")
@click.option("--demo", is_flag=True, help="Fill an empty ledger with demonstration data.")
def up_command(data: str | None, host: str | None, port: int | None, demo: bool) -> None:  # noqa: FBT001
    """Run everything on this machine: API, workers, agent, and Redis when none is configured. Ctrl-C stops it."""
    from ledger.logs import configure_logs
    from ledger.settings import LedgerSettings, read_settings
    from orderledger.up import up

    configure_logs(read_settings(LedgerSettings, os.environ).log_level, role="up")
    sys.exit(up(os.environ, data=data, host=host, port=port, with_demo=demo, say=_say))


@group.command("api")
@click.option("--host", metavar="H", help="Address to listen on (ORDERLEDGER_HOST).")
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="Port to listen on (ORDERLEDGER_PORT).")
@click.option("--workers", metavar="W", type=click.IntRange(1, 64), help="Server processes (ORDERLEDGER_API_WORKERS).")
def api_command(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the HTTP API."""
    from api.serve import serve
    from api.settings import ApiSettings

    environment = _environment("api")
    for variable in set(os.environ) - set(environment):
        # A secret's file: the secret itself is there now.
        del os.environ[variable]
    os.environ.update(environment)
    settings = ApiSettings.from_environment(environment)
    chosen_port = settings.port if port is None else port
    _run_checked(environment, lambda: serve(host or settings.host, chosen_port, workers or settings.api_workers))


@group.group("worker")
def worker_group() -> None:
    """Run the workers of one kind."""


@worker_group.command("projections")
def projections_worker() -> None:
    """Keep the read models in Redis up with the log."""
    from workers.roles import run_projection_workers

    environment = _environment("projections")
    _run_checked(environment, lambda: run_projection_workers(environment))


@worker_group.command("agent")
def agent_worker() -> None:
    """Execute orders in the outside systems."""
    from workers.roles import run_agent_workers

    environment = _environment("agent")
    _run_checked(environment, lambda: run_agent_workers(environment))


@worker_group.command("webhooks")
def webhooks_worker() -> None:
    """Send events to who subscribed to them."""
    from workers.roles import run_webhook_workers

    environment = _environment("webhooks")
    _run_checked(environment, lambda: run_webhook_workers(environment))


@worker_group.command("maintenance")
def maintenance_worker() -> None:
    """Find what lost wake-ups and crashes left undone."""
    from orderledger.maintenance import maintain

    environment = _environment("maintenance")
    _run_checked(environment, lambda: maintain(environment))


# -- the databases -------------------------------------------------------------------------------------------------


@group.group("db")
def db_group() -> None:
    """Look after the databases."""


@db_group.command("upgrade")
@click.option("--only", type=click.Choice(["log", "directory"]), help="Of two databases, bring up this one alone.")
def db_upgrade(only: str | None) -> None:
    """Bring the log's and the directory's tables to the current schema."""
    from ledger.revisions import HISTORIES, head
    from orderledger.surroundings import migrate, prepare

    migrate(prepare(os.environ), only=only, say=_say)
    for history in HISTORIES if only is None else (only,):
        _say(f"{history}: {head(history)}")


@db_group.command("current")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def db_current(as_json: bool) -> None:  # noqa: FBT001
    """Show which schema the databases are at; exit code 1 when an upgrade is due."""
    from orderledger.schemas import schema_revisions

    revisions = schema_revisions(_environment())
    if as_json:
        click.echo(json.dumps({"histories": revisions}))
    else:
        for each in revisions:
            click.echo(f"{each['history']}: {each['current'] or 'empty'} (current schema: {each['wanted']})")
    if any(each["current"] != each["wanted"] for each in revisions):
        sys.exit(EXIT_FINDING)


@db_group.command("grants")
@click.option("--user", default="orderledger", show_default=True, help="The service's database user.")
@click.option("--host", default="localhost", show_default=True, help="Where the user connects from.")
@click.option("--database", help="The log's database; default from the URL.")
@click.option("--directory", help="The directory's database; default from the URL, else the log's.")
@click.option(
    "--apply", "applies", is_flag=True, help="Run them, as the administrators of the URLs, who print nothing."
)
def db_grants(user: str, host: str, database: str | None, directory: str | None, applies: bool) -> None:  # noqa: FBT001
    """Print the least privileges of the service's user, for an administrator to run on MariaDB or MySQL.

    With log and directory on two servers, each has its own.
    """
    from orderledger.schemas import apply_grants, printed_grants, wanted_grants

    environment = _environment()
    try:
        wanted = wanted_grants(environment, user, host, database=database, directory=directory)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if applies:
        apply_grants(environment, wanted)
        _say(f"{user}@{host} has the least privileges that the service needs")
    else:
        click.echo("\n".join(printed_grants(wanted)))


# -- access --------------------------------------------------------------------------------------------------------


@group.command("bootstrap-admin")
@click.option("--username", required=True, help="The first administrator's username.")
def bootstrap_admin(username: str) -> None:
    """Make the first administrator; the password comes from a prompt, or from standard input. Once only."""
    from ledger.directory import users
    from orderledger.opening import opened_directory

    if sys.stdin.isatty():
        password = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    with opened_directory(_environment()) as directory:
        made = users.bootstrap(directory, username, password)
    _say(f"{made['username']} is an administrator now; log in with that name and the password")


@group.group("api-key")
def api_key_group() -> None:
    """Keys of machine clients."""


@api_key_group.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--role", required=True, help="Its role: admin, operator, auditor, customer, or one of your own.")
@click.option("--customer", "customer_id", help="Let it see this customer only.")
def api_key_create(name: str, role: str, customer_id: str | None) -> None:
    """Make a key and print its secret, once, alone on standard output."""
    from ledger.directory.access import create_api_keys
    from orderledger.opening import opened_directory

    with opened_directory(_environment()) as directory:
        ((key, secret),) = create_api_keys(directory, [{"name": name, "role": role, "customer_id": customer_id}])
    _say(f"API key {key['id']} ({key['role']}) was made; its secret is shown only now:")
    click.echo(secret)


# -- read models ---------------------------------------------------------------------------------------------------


@group.group("projections")
def projections_group() -> None:
    """Look after the read models."""


@projections_group.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def projections_status(as_json: bool) -> None:  # noqa: FBT001
    """Show how far behind the log each read model is; exit code 1 when one is stopped."""
    from orderledger.read_models import status

    found = status(_environment())
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(f"head of the log: {found['head']}")
        for each in found["projections"]:
            behind = f"{each['lag_events']} events, {each['lag_s']:.1f} s behind"
            click.echo(f"{each['name']:<14} {each['state']:<10} at {each['position']}, {behind}")
    if any(each["state"] == "stopped" for each in found["projections"]):
        sys.exit(EXIT_FINDING)


@projections_group.command("rebuild")
@click.argument("name")
def projections_rebuild(name: str) -> None:
    """Make a read model again beside the live one, then switch."""
    from orderledger.read_models import rebuild

    _say(f"{name} was rebuilt to position {rebuild(_environment(), name)}")


@projections_group.command("diff")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def projections_diff(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Compare a read model with a replay of the log to the same position; exit code 1 when they differ."""
    from orderledger.read_models import diff

    found = diff(_environment(), name)
    if as_json:
        click.echo(json.dumps(found))
    elif not found["differences"]:
        click.echo(f"{name} equals the replay to position {found['position']}")
    else:
        click.echo(f"{name} differs from the replay to position {found['position']}:")
        for each in found["differences"]:
            click.echo(f"  {each['key']} (at {each['position']}): {each['problem']}")
        click.echo(f"mend it with: orderledger projections rebuild {name}")
    if found["differences"]:
        sys.exit(EXIT_FINDING)


group.add_command(audit_group)


# -- work in bulk, checks ------------------------------------------------------------------------------------------


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--results", type=click.Path(dir_okay=False, path_type=Path), help="Per-line results (FILE.results.ndjson)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def import_command(file: Path, results: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Post the commands of a CSV or NDJSON file; run it again to go on after an interruption, nothing is doubled."""
    from orderledger.import_file import import_file

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    summary = import_file(_environment(), file, results or file.with_name(file.name + ".results.ndjson"))
    if as_json:
        click.echo(json.dumps(summary))
    else:
        click.echo(
            f"{summary['accepted']} accepted, {summary['replayed']} done before, {summary['refused']} refused, "
            f"{summary['invalid']} not understood; per line: {summary['results']}"
        )
    if summary["refused"] or summary["invalid"]:
        sys.exit(EXIT_FINDING)


@group.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup_command(file: Path, as_json: bool) -> None:  # noqa: FBT001
    """Copy log and directory, as of one position, into a new file; the service may run meanwhile."""
    from orderledger.backup import backup

    done = backup(_environment(), file)
    click.echo(
        json.dumps(done) if as_json else f"{file} has the log to position {done['position']}, {done['rows']} rows"
    )


@group.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore_command(file: Path, as_json: bool) -> None:  # noqa: FBT001
    """Restore a backup into empty databases; the read models then rebuild themselves."""
    from orderledger.backup import restore

    done = restore(_environment(), file)
    click.echo(json.dumps(done) if as_json else f"restored to position {done['position']}, {done['rows']} rows")


@group.command("erase-customer")
@click.argument("customer_id", metavar="ID")
def erase_customer_command(customer_id: str) -> None:
    """Remove a customer's personal data everywhere; the log and its proofs stay as they are."""
    from orderledger.erasure import erase_customer

    _say(f"{customer_id} was erased; the log says so at position {erase_customer(_environment(), customer_id)}")


@group.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> None:  # noqa: FBT001
    """Check settings and servers against what is safe, and say how to mend what is not."""
    from orderledger.doctor import examine

    findings = examine(_environment())
    if as_json:
        click.echo(json.dumps({"findings": findings}))
    else:
        for each in findings:
            mark = {"good": "✓", "warning": "!", "bad": "✗"}[each["state"]]
            click.echo(f"{mark} {each['check']}: {each['finding']}" + (f" → {each['mend']}" if each["mend"] else ""))
    if any(each["state"] == "bad" for each in findings):
        sys.exit(EXIT_FINDING)


@group.command("settings")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def settings_command(as_json: bool) -> None:  # noqa: FBT001
    """List every setting with its default and, where it is set, its value; secrets are not shown."""
    from orderledger.reference import settings_in_force

    listed = settings_in_force(os.environ)
    if as_json:
        click.echo(json.dumps(listed))
        return
    for each in listed:
        shown = each["value"] if each["value"] is not None else f"{each['default']} (default)"
        click.echo(f"{each['variable']} = {shown}\n    {each['help']}")


def _environment(role: str = "") -> Mapping[str, str]:
    """Return the completed environment; a process that goes on running has a role, and writes a log."""
    from ledger.logs import configure_logs
    from ledger.settings import LedgerSettings, read_settings
    from orderledger.surroundings import complete

    environment = complete(os.environ)
    if role:
        configure_logs(read_settings(LedgerSettings, environment).log_level, role=role)
    return environment


def _run_checked(environment: Mapping[str, str], run: Callable[[], int]) -> NoReturn:
    """Run a role unless settings or servers are unsafe, and exit. Raises UnsafeStart."""
    from orderledger.doctor import StartCheck

    check = StartCheck(environment, _say_refused)
    check.begin()
    code = run()
    check.end()
    sys.exit(EXIT_FINDING if check.refused else code)


def _say_refused(line: str) -> None:
    _say(f"orderledger: refused to start: {line}")


def _say(text: str) -> None:
    click.echo(text, err=True)
