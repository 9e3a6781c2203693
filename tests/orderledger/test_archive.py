"""`orderledger audit archive`, `verify-archive` and `prove --archive` as an operator and an auditor use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from orderledger.command_line import group
from submissions import Desk

Run = Callable[..., Result]


@pytest.fixture
def archive(run: Run, tmp_path: Path) -> Path:
    """An archive of the sealed demonstration data, and the verifier key beside it in the file ``key``."""
    key = run("keygen", "example.org/ledger", "--file", str(tmp_path / "data" / "signing-key"))
    assert key.exit_code == 0, key.output
    (tmp_path / "key").write_text(key.stdout)
    assert run("checkpoint", "--seal").exit_code == 0
    made = run("archive", str(tmp_path / "archive"), "--segment", "16", "--json")
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert document["last"] == 16 * len(document["written"]) > 0
    return tmp_path / "archive"


def alone(*arguments: str) -> tuple[int, str]:
    """Run an audit's command where there is no database at all."""
    environment = {"ORDERLEDGER_DATABASE_URL": "mysql+pymysql://nobody@127.0.0.1:1/none"}
    done = CliRunner(env=environment).invoke(group, ["audit", *arguments])
    return done.exit_code, done.output


def test_an_auditor_verifies_files_and_checks_a_proof_without_the_database(archive: Path, tmp_path: Path) -> None:
    key = str(tmp_path / "key")

    code, words = alone("verify-archive", str(archive), "--key", key)
    assert code == 0 and words.startswith("clean: "), words
    code, words = alone("verify-archive", str(archive), "--key", key, "--json")
    assert json.loads(words)["status"] == "clean"
    code, words = alone("prove", "20", "--archive", str(archive), "--output", str(tmp_path / "proof"))
    assert code == 0, words
    code, words = alone("check", str(tmp_path / "proof"), "--key", key)
    assert code == 0 and "position: 20" in words


def test_a_file_that_is_missing_in_the_middle_is_named_with_its_positions(
    run: Run, archive: Path, tmp_path: Path, sqlite_ledger_url: str
) -> None:
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    with closing(Ledger(engine, LedgerSettings())) as ledger:
        for _ in range(16):
            Desk(ledger, engine).open()
    engine.dispose()
    assert run("checkpoint", "--seal").exit_code == 0
    assert run("archive", str(archive), "--segment", "16").exit_code == 0
    files = sorted(archive.iterdir())
    end = 16 * len(files)
    command = ("verify-archive", str(archive), "--key", str(tmp_path / "key"))
    _, whole = alone(*command)
    assert whole.endswith(f"; of positions 1 to {end}\n"), whole

    files[1].unlink()

    code, words = alone(*command)
    assert code == 0 and words.endswith(f"; of positions 1 to 16, 33 to {end}; missing between them: 17 to 32\n"), words
    assert "credit limits" in whole and "credit limits" not in words
    document = json.loads(alone(*command, "--json")[1])
    assert (document["ranges"], document["gaps"]) == ([[1, 16], [33, end]], [[17, 32]])


def test_a_second_run_says_that_nothing_is_new(run: Run, archive: Path) -> None:
    done = run("archive", str(archive), "--segment", "16")

    assert done.exit_code == 0 and done.stdout.startswith("0 new files; ")


def test_what_cannot_be_done_says_what_to_do(run: Run, archive: Path, tmp_path: Path) -> None:
    key = str(tmp_path / "key")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (("archive", str(archive), "--segment", "32"), "--segment 16"),
        (("archive", str(archive), "--segment", "15"), "15"),
        (("archive", key), "is a file"),
        (("verify-archive", str(tmp_path / "empty"), "--key", key), "no segment"),
        (("verify-archive", key, "--key", key), "cannot be read"),
        (("verify-archive", str(archive)), "--key"),
        (("verify-archive", str(archive), "--key", "x+y"), "verifier key"),
        (("verify-archive", str(tmp_path / "none"), "--key", key), "does not exist"),
        (("prove", "999999", "--archive", str(archive)), "does not hold position 999999"),
        (("prove", "1", "--archive", str(tmp_path / "empty")), "no segment"),
    ):
        done = run(*arguments)

        assert done.exit_code == 2, (arguments, done.output)
        assert words in done.output, (arguments, done.output)


def test_a_changed_file_is_named_with_its_position(archive: Path, tmp_path: Path) -> None:
    first, *_ = sorted(archive.iterdir())
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2] + b"\0" * 64 + content[len(content) // 2 + 64 :])

    code, words = alone("verify-archive", str(archive), "--key", str(tmp_path / "key"))

    assert code in (1, 2) and "clean" not in words
